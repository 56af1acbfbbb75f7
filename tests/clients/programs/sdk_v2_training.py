"""Train with `PyTorch` on two hosts, make a model of it, host and ask it. SageMaker SDK v2.

The version, the instances and the old names of their arguments are those of AWS's example of Horovod.
"""

from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch import PyTorch
from sagemaker.serializers import JSONSerializer

CODE = str(Path(__file__).with_name("code"))

session = sagemaker.Session()
Path("data").mkdir()
Path("data/numbers.txt").write_text("1 2 3")
inputs = session.upload_data("data", key_prefix="numbers")

estimator = PyTorch(
    entry_point="train.py",
    source_dir=CODE,
    role=sagemaker.get_execution_role(),
    framework_version="1.6.0",
    py_version="py36",
    train_instance_count=2,
    train_instance_type="ml.p2.xlarge",
    hyperparameters={"factor": 5},
    metric_definitions=[{"Name": "loss", "Regex": "loss ([0-9.]+);"}],
)
estimator.fit({"training": inputs})
described = estimator.latest_training_job.describe()
print("status", described["TrainingJobStatus"], described["FinalMetricDataList"][0]["Value"])

model = estimator.create_model(entry_point="inference.py", source_dir=CODE)
predictor = model.deploy(
    initial_instance_count=1,
    instance_type="ml.p2.xlarge",
    serializer=JSONSerializer(),
    deserializer=JSONDeserializer(),
)
print("answer", predictor.predict([1, 2.5]))
predictor.delete_model()
predictor.delete_endpoint()
