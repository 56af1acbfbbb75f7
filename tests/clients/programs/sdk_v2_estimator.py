"""Train with the plain `Estimator` and see its failure as the SDK tells it. SageMaker SDK v2."""

from pathlib import Path

import sagemaker
from sagemaker.estimator import Estimator
from sagemaker.exceptions import UnexpectedStatusException

CODE = str(Path(__file__).with_name("code"))
IMAGE = sagemaker.image_uris.retrieve(
    "pytorch", "us-west-2", version="1.12.1", py_version="py38", instance_type="ml.m5.large", image_scope="training"
)

estimator = Estimator(
    image_uri=IMAGE,
    role=sagemaker.get_execution_role(),
    instance_count=1,
    instance_type="ml.m5.large",
    entry_point="train.py",
    source_dir=CODE,
    hyperparameters={"factor": 0},
)
try:
    estimator.fit()
except UnexpectedStatusException as problem:
    print("failed:", problem)

estimator.set_hyperparameters(factor=7)
estimator.fit(wait=False)
estimator.latest_training_job.wait(logs="None")
print("model", estimator.model_data)
