"""Host a model that lies in S3, ask it through another `Predictor`, and leave nothing. SageMaker SDK v2."""

import tarfile
from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorchModel
from sagemaker.serializers import JSONSerializer

CODE = Path(__file__).with_name("code")

session = sagemaker.Session()
role = sagemaker.get_execution_role()
print("role", role)

Path("factor").write_text("3")
with tarfile.open("model.tar.gz", "w:gz") as archive:
    archive.add("factor")
model_data = session.upload_data("model.tar.gz", key_prefix="models")

model = PyTorchModel(
    model_data=model_data,
    role=role,
    entry_point="inference.py",
    source_dir=str(CODE),
    framework_version="1.12.1",
    py_version="py38",
)
deployed = model.deploy(initial_instance_count=1, instance_type="ml.m5.large")

predictor = Predictor(deployed.endpoint_name, serializer=JSONSerializer(), deserializer=JSONDeserializer())
print("answer", predictor.predict([1, 2.5]))

deployed.delete_model()
deployed.delete_endpoint()
left = session.sagemaker_client.list_endpoints(StatusEquals="InService")["Endpoints"]
print("in service", [each["EndpointName"] for each in left if each["EndpointName"] == deployed.endpoint_name])
