"""What the platform gives a host, held to the facts of real jobs."""

from __future__ import annotations

from harness import contract, documents
from harness.documents import ChannelConfig, HostGroup

HOSTS = ("algo-1", "algo-2")
GROUP = HostGroup(contract.HOMOGENEOUS_GROUP, "ml.p2.xlarge", HOSTS)


def test_the_resource_config_has_the_shape_seen_in_real_jobs() -> None:
    assert documents.resource_config("algo-2", [GROUP]) == {
        "current_host": "algo-2",
        "current_instance_type": "ml.p2.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-2"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.p2.xlarge",
                "hosts": ["algo-1", "algo-2"],
            }
        ],
        "network_interface_name": "eth0",
    }


def test_the_input_data_config_tells_modes_and_no_place() -> None:
    assert documents.input_data_config([ChannelConfig("training")]) == {
        "training": {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
    }
    assert documents.input_data_config([]) == {}


def test_the_platform_sets_its_own_variables_and_no_sm_ones() -> None:
    arn = "arn:aws:sagemaker:us-west-2:000000000000:training-job/mnist"

    variables = documents.platform_environment("Mnist", arn, "us-west-2", {"MINE": "$x"})

    assert variables["TRAINING_JOB_NAME"] == "Mnist"
    assert variables["TRAINING_JOB_ARN"] == arn
    assert variables["AWS_REGION"] == "us-west-2"
    assert variables["MINE"] == "$x"
    assert not [name for name in variables if name.startswith("SM_")]
