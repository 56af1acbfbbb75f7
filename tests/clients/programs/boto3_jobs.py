"""A training job's life by boto3 alone: created, tagged, listed, stopped, and one that is completed."""

import io
import sys
import tarfile
from pathlib import Path

import boto3

NAME = sys.argv[1]
BUCKET = "jobs-" + NAME
IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:1.12.1-cpu-py38"
CODE = Path(__file__).with_name("code") / "train.py"
FOR_EVER = b"import time\nprint('going on', flush=True)\ntime.sleep(600)\n"


def sourcedir(script):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("train.py")
        entry.size = len(script)
        archive.addfile(entry, io.BytesIO(script))
    return buffer.getvalue()


s3, sagemaker = boto3.client("s3"), boto3.client("sagemaker")
role = boto3.client("sts").get_caller_identity()["Arn"]
print("caller", role)
s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})


def create(name, script):
    s3.put_object(Bucket=BUCKET, Key=name + "/sourcedir.tar.gz", Body=sourcedir(script))
    return sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn="arn:aws:iam::000000000000:role/SageMakerHarness",
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": f"s3://{BUCKET}/{name}/sourcedir.tar.gz",
        },
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        StoppingCondition={"MaxRuntimeInSeconds": 300},
        Tags=[{"Key": "team", "Value": "digits"}],
    )["TrainingJobArn"]


def wait(name, while_in):
    while True:
        found = sagemaker.describe_training_job(TrainingJobName=name)
        if found["SecondaryStatus"] not in while_in:
            return found


arn = create(NAME, FOR_EVER)
print("tags", sagemaker.list_tags(ResourceArn=arn)["Tags"])
print("status", wait(NAME, ("Pending", "Starting", "Downloading"))["SecondaryStatus"])
sagemaker.stop_training_job(TrainingJobName=NAME)
print("status", wait(NAME, ("Training", "Stopping", "Uploading"))["TrainingJobStatus"])

create(NAME + "-2", CODE.read_bytes())
sagemaker.get_waiter("training_job_completed_or_stopped").wait(
    TrainingJobName=NAME + "-2", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
)
done = sagemaker.describe_training_job(TrainingJobName=NAME + "-2")
bucket, key = done["ModelArtifacts"]["S3ModelArtifacts"][len("s3://") :].split("/", 1)
archive = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as model:
    print("model", model.getnames())
found = sagemaker.list_training_jobs(NameContains=NAME, SortBy="CreationTime", SortOrder="Ascending")
for each in found["TrainingJobSummaries"]:
    print("listed", each["TrainingJobName"], each["TrainingJobStatus"])
