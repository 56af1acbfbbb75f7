"""The toolkit's half of the contract, held to AWS's released toolkits: the same jobs, their answers and ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness import contract, documents
from harness.contract import FrameworkError, HostConfig, Observed
from harness.differences import OF_THE_TOOLKITS
from harness.documents import ChannelConfig, HostGroup
from harness.hyperparameters import command_line_arguments, read_hyperparameters
from harness.idle_hosts import IdleHosts
from tests.generated_jobs import NASTY, GeneratedJob, many_jobs

Cluster = Callable[..., IdleHosts]
JOBS = 600
DRIVER = Path(__file__).with_name("toolkit_driver.py")
SCRIPT = Path(__file__).with_name("what_the_script_sees.py")


def toolkits_answers(hosts: IdleHosts, jobs: list[GeneratedJob]) -> dict[str, Any]:
    """What the driver answers for all ``jobs``."""
    documents = json.dumps([job.document() for job in jobs])
    hosts.write("algo-1", {"/tmp/driver.py": DRIVER.read_text(), "/tmp/jobs.json": documents})
    answering = hosts.run("algo-1", "sh", "-c", "python3 /tmp/driver.py < /tmp/jobs.json > /tmp/answers.json")
    assert answering.exit_code == 0, answering
    answer: dict[str, Any] = json.loads(read(hosts, "algo-1", "/tmp/answers.json"))
    return answer


def our_answer(job: GeneratedJob, facts: dict[str, Any]) -> dict[str, Any]:
    """What ours give for ``job`` on the machine that ``facts`` are of; keys as in toolkit_driver.py."""
    config = HostConfig(job.resource_config, job.input_data_config, job.hyperparameters)
    observed = Observed(num_cpus=facts["num_cpus"], torch_version=facts["torch_version"], environment=job.environment)
    try:
        inherited = contract.inherited_variables(config, observed)
        return {
            "sm_environment": contract.sm_environment(config, observed),
            "command_line_arguments": command_line_arguments(read_hyperparameters(config.hyperparameters)),
            "leader": contract.leader(config),
            "distribution_groups": contract.distribution_groups(config),
            "distribution_hosts": contract.distribution_hosts(config),
            "inherited": {name: text for name, text in inherited.items() if job.environment.get(name) != text},
        }
    except FrameworkError as error:
        return {"raised": str(error)}


def departures(theirs: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    """One line for each thing that the two answers disagree on; what they `raised` is worded by each as it likes."""
    if "raised" in theirs or "raised" in ours:
        both = "raised" in theirs and "raised" in ours
        return [] if both else [f"toolkit raises {theirs.get('raised')!r}, ours {ours.get('raised')!r}"]
    lines = []
    for key in sorted(theirs.keys() | ours.keys()):
        left, right = theirs.get(key), ours.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            names = sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
            lines += [f"{key}[{name!r}]: toolkit {left.get(name)!r}, ours {right.get(name)!r}" for name in names]
        elif left != right:
            lines.append(f"{key}: toolkit {left!r}, ours {right!r}")
    return lines


def test_every_generated_job_gets_what_the_toolkits_give_it(cluster: Cluster) -> None:
    jobs = many_jobs(JOBS)
    toolkits = toolkits_answers(cluster(1), jobs)
    pairs = zip(jobs, toolkits["results"], strict=True)
    different = [(job, lines) for job, theirs in pairs if (lines := departures(theirs, our_answer(job, toolkits)))]
    different.sort(key=lambda found: found[0].size())

    assert different == [], "\n".join(
        [f"{len(different)} of {JOBS} jobs differ; the smallest:", *different[0][1], repr(different[0][0])]
    )
    assert_of_every_kind(jobs, toolkits["results"])


def assert_of_every_kind(jobs: list[GeneratedJob], results: list[dict[str, Any]]) -> None:
    """A generator that went lame would let the comparison pass over nothing."""
    answered = [result for result in results if "raised" not in result]

    assert len(jobs) == JOBS
    assert {len(job.resource_config["hosts"]) for job in jobs} == set(range(1, 13))
    assert {0, 1, 20} <= {len(job.input_data_config) for job in jobs}
    assert {len(job.resource_config.get("instance_groups", [])) for job in jobs} == {0, 1, 2, 3}
    assert len(answered) > JOBS / 2
    assert len(results) - len(answered) > JOBS / 50
    assert len([result for result in answered if result["leader"] != "algo-1"]) > JOBS / 20
    assert len([result for result in answered if result["distribution_groups"]]) > JOBS / 10


# Both `train` programs on the same host: what the script of a job sees, and what the host leaves behind.

TOOLKITS_TRAIN = ["python3", "-m", "sagemaker_training.cli.train"]
OURS = ["train"]
USERS_OWN = {"NCCL_DEBUG": "TRACE", "MASTER_ADDR": "10.0.0.1", "PYTHONPATH": "/opt/mine", "SM_HP_LR": "7", "MINE": "$x"}
AS_SDK_V2_WRITES = {
    "sagemaker_program": '"script.py"',
    "sagemaker_submit_directory": '"/opt/ml/code"',
    "sagemaker_container_log_level": "20",
    "sagemaker_job_name": '"Mnist-1"',
    "sagemaker_region": '"us-west-2"',
    "epochs": "6",
    "backend": '"gloo"',
    "batch-size": "64",
    "resume": "null",
    "verbose": "true",
    "betas": "[0.9, 0.999]",
    "options": '{"b": [1, 2], "a": "x"}',
}
BY_HAND = {"sagemaker_program": "script.py", "lr": "0.1", **{f"k{i}": text for i, text in enumerate(NASTY)}}
FOR_A_PROCESS = {key: text for key, text in BY_HAND.items() if text not in ("\0", "\ud800", '"\\ud83d"')}


AS_A_COMMAND = AS_SDK_V2_WRITES | {"sagemaker_program": '"run.sh"'}
OUTSIDE_THE_DISTRIBUTION = AS_SDK_V2_WRITES | {
    "sagemaker_mpi_enabled": "true",
    "sagemaker_distribution_instance_groups": '["elsewhere"]',
}
RUN = '#!/bin/sh\nexec python3 script.py "$@"\n'


@dataclass(frozen=True)
class Trained:
    """How a `train` ended: ``seen`` is what the script left, none where it never ran."""

    exit_code: int
    seen: dict[str, Any]
    files: list[str]
    failure: str
    output: str


def run(hosts: IdleHosts, train: list[str], current: str, hyperparameters: Mapping[str, str]) -> Trained:
    """Let ``train`` run a job of two hosts, each for itself, on the host ``current``."""
    group = HostGroup(contract.HOMOGENEOUS_GROUP, "ml.p2.xlarge", ("algo-2", "algo-1"))
    channels = [ChannelConfig("training"), ChannelConfig("eval-set", input_mode="Pipe")]
    config = {
        contract.RESOURCE_CONFIG_FILE: documents.resource_config(current, [group]),
        contract.INPUT_DATA_CONFIG_FILE: documents.input_data_config(channels),
        contract.HYPERPARAMETERS_FILE: hyperparameters,
    }
    variables = documents.platform_environment("Mnist-1", "arn:aws:sagemaker:…", "us-west-2", USERS_OWN)
    texts = {path: json.dumps(document) for path, document in config.items()}
    hosts.run(current, "sh", "-c", "rm -rf /opt/ml/* /tmp/seen.json")
    # Without them the toolkit dies of its own failure file, and says that all went well (trainer.py).
    hosts.run(current, "mkdir", "-p", contract.MODEL_DIR, contract.OUTPUT_DATA_DIR)
    code = {f"{contract.CODE_DIR}/script.py": SCRIPT.read_text(), f"{contract.CODE_DIR}/run.sh": RUN}
    hosts.write(current, {**texts, **code})
    ended = hosts.run(current, "env", "-u", "HARNESS_LAUNCHER", *train, env=variables)  # not theirs
    return Trained(
        exit_code=ended.exit_code,
        seen=json.loads(read(hosts, current, "/tmp/seen.json") or "{}"),
        files=hosts.run(current, "find", "/opt/ml", "-not", "-path", "*/__pycache__*").output.split(),
        failure=read(hosts, current, contract.FAILURE_FILE),
        output=ended.output,
    )


def read(hosts: IdleHosts, host: str, path: str) -> str:
    done = hosts.run(host, "cat", path)
    return done.output if done.exit_code == 0 else ""


@pytest.mark.parametrize(
    "hyperparameters",
    [AS_SDK_V2_WRITES, FOR_A_PROCESS, AS_A_COMMAND, OUTSIDE_THE_DISTRIBUTION],
    ids=["sdk-v2", "by-hand", "command", "outside-the-distribution"],
)
def test_a_script_sees_the_same_under_both_and_the_host_leaves_the_same(
    cluster: Cluster, hyperparameters: dict[str, str]
) -> None:
    hosts = cluster(2)

    for current in hosts.hosts:
        theirs, ours = (run(hosts, train, current, hyperparameters) for train in (TOOLKITS_TRAIN, OURS))
        left, right = flat(theirs.seen), flat(ours.seen)
        differ = {topic for topic in left.keys() | right.keys() if left.get(topic) != right.get(topic)}

        assert (theirs.exit_code, ours.exit_code) == (0, 0), theirs.output + ours.output
        assert left["variable SM_CURRENT_HOST"] == current
        assert differ == {difference.topic for difference in OF_THE_TOOLKITS}
        assert sorted(ours.files) == sorted(theirs.files)


def flat(seen: dict[str, Any]) -> dict[str, Any]:
    variables = {f"variable {name}": text for name, text in seen["variables"].items()}
    return {**variables, "arguments": seen["arguments"], "sys.path": seen["path"], "folder": seen["folder"]}


ENDS_THE_TOOLKIT = [
    {"sagemaker_container_log_level": '"INFO"'},
    {"sagemaker_job_name": "2024"},
    {"sagemaker_distribution_instance_groups": "null"},
    {"a=b": "1"},
    {"a": '"\\u0000"'},
    {"a": '{"b": "\\ud800"}'},
]


def test_a_job_that_ends_the_toolkit_ends_here_without_its_script_too(cluster: Cluster) -> None:
    hosts = cluster(2)

    for reserved in ENDS_THE_TOOLKIT:
        theirs, ours = (run(hosts, train, "algo-1", AS_SDK_V2_WRITES | reserved) for train in (TOOLKITS_TRAIN, OURS))
        assert (theirs.exit_code, theirs.seen) == (1, {}), f"{reserved}: {theirs.output}"
        assert (ours.exit_code, ours.seen) == (1, {}), f"{reserved}: {ours.output}"
        assert theirs.failure.startswith(("Framework Error: \n", "ExecuteUserScriptError")), reserved
        assert ours.failure.startswith("Framework Error: \n"), reserved
