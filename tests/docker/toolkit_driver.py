"""Runs in the image of the hosts: what AWS's released toolkits make of many jobs, one after the other.

stdin is a list of jobs, each an object of four: `resource_config`, `input_data_config`, `hyperparameters` (documents
of /opt/ml/input/config) and `environment` (variables of the container). stdout is an object: `num_cpus`,
`torch_version`, and `results`, in which each job has either what its properties are named below, or what was `raised`.

The toolkit reads its documents anew for each `Environment()`; all that it keeps between jobs are variables of the
process and the handlers of the root logger, which are set back here.
"""

import json
import logging
import os
import sys
from pathlib import Path

import torch
from sagemaker_pytorch_container import training
from sagemaker_training import environment, logging_config, process

CONFIG = Path(environment.input_config_dir)
DOCUMENTS = {
    "resource_config": "resourceconfig.json",
    "input_data_config": "inputdataconfig.json",
    "hyperparameters": "hyperparameters.json",
}


def toolkits_answer(job):
    os.environ.clear()
    os.environ.update(job["environment"])
    logging.root.handlers.clear()
    for key, name in DOCUMENTS.items():
        (CONFIG / name).write_text(json.dumps(job[key]))
    try:
        env = environment.Environment()
        logging_config.configure_logger(env.log_level)  # the next thing that trainer.train does with it
        training._set_nccl_environment(env.network_interface_name)
        training._set_distributed_environment(env)
        training._set_torch_version_environment()
        answer = {
            "sm_environment": env.to_env_vars(),
            "command_line_arguments": env.to_cmd_args(),
            "leader": env.master_hostname,
            "distribution_groups": env.distribution_instance_groups,
            "distribution_hosts": env.distribution_hosts,
            "inherited": {name: text for name, text in os.environ.items() if job["environment"].get(name) != text},
        }
        environment.write_env_vars(dict(answer["sm_environment"]))
        process.create(["true", *answer["command_line_arguments"]], [], 1, cwd="/", env=os.environ)
    except Exception as error:
        return {"raised": f"{type(error).__name__}: {error}"}
    return answer


def main():
    CONFIG.mkdir(parents=True, exist_ok=True)
    results = [toolkits_answer(job) for job in json.load(sys.stdin)]
    facts = {"num_cpus": environment.num_cpus(), "torch_version": torch.__version__}
    json.dump({**facts, "results": results}, sys.stdout)


if __name__ == "__main__":
    main()
