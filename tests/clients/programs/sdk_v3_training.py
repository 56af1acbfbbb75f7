"""Train with `ModelTrainer`, launched by the drivers that the SDK brings along. SageMaker SDK v3.

Arguments: a name that nobody has, alone, torchrun or mpi, and the number of hosts.
"""

import logging
import sys
from pathlib import Path

from sagemaker.core.training.configs import Compute, InputData, SourceCode
from sagemaker.train import ModelTrainer
from sagemaker.train.distributed import MPI, Torchrun

logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)  # where the job's log goes, too
NAME, DRIVER, HOSTS = sys.argv[1], sys.argv[2], int(sys.argv[3])
DISTRIBUTED = {
    "alone": None,
    "torchrun": Torchrun(process_count_per_node=1),
    # To the SDK's driver it is the number of all processes, which it puts on one host unless told (mpi_driver.py).
    "mpi": MPI(process_count_per_node=HOSTS, mpi_additional_options=["--map-by", "node"]),
}
IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:1.12.1-cpu-py38"

Path("data").mkdir()
Path("data/numbers.txt").write_text("1 2 3")
trainer = ModelTrainer(
    training_image=IMAGE,
    base_job_name=NAME,
    source_code=SourceCode(source_dir=str(Path(__file__).with_name("code")), entry_script="ranks.py"),
    compute=Compute(instance_type="ml.m5.large", instance_count=HOSTS),
    distributed=DISTRIBUTED[DRIVER],
    hyperparameters={"factor": 5, "name": "a b"},
)
trainer.train(input_data_config=[InputData(channel_name="training", data_source="data")])
job = trainer._latest_training_job
job.refresh()
print("status", job.training_job_status, job.model_artifacts.s3_model_artifacts)
