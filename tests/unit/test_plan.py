"""From a job to the plan of its hosts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.job import Channel, InstanceGroup, MpiDistribution, TorchDistribution
from harness.limits import HostLimits, Limits
from harness.plan import ClusterPlan, plan_training
from tests.jobs import training_job

CONFIG = "/opt/ml/input/config"


def plan(launcher: str = "gloo", limits: Limits | None = None, image: str = "i:1", **more: Any) -> ClusterPlan:
    return plan_training(
        training_job(**more),
        "Mnist-1",
        arn="arn:x",
        region="us-west-2",
        image=image,
        launcher=launcher,
        output_path="file:///runs",
        limits=limits,
    )


def test_hosts_are_told_which_cores_are_their_own_and_what_limits_they_have() -> None:
    limits = Limits({"algo-1": HostLimits((0, 1)), "algo-2": HostLimits((2,), memory_bytes=5)}, notes=("limits: …",))
    made = plan(limits=limits)

    assert [host.environment["HARNESS_OWN_CORES"] for host in made.hosts] == ["0,1", "2"]
    assert made.limits["algo-2"].memory_bytes == 5
    assert made.notes == ("limits: …",)


def test_without_limits_no_host_has_cores_of_its_own() -> None:
    assert "HARNESS_OWN_CORES" not in plan().hosts[0].environment


def test_an_entrypoint_of_the_jobs_own_replaces_the_images_and_finds_ssh_ready_on_ours() -> None:
    own = ("/bin/bash",)

    assert plan().entrypoint == ()
    assert plan(container_entry_point=own).entrypoint == own
    assert plan(image="harness-pytorch:0da8ff7e47ba", container_entry_point=own).entrypoint == ("with-ssh", *own)
    assert plan(image="harness-pytorch:1", container_entry_point=own, instance_count=1).entrypoint == own


def documents(made: ClusterPlan, name: str) -> list[dict[str, Any]]:
    return [json.loads(host.files[f"{CONFIG}/{name}.json"]) for host in made.hosts]


def test_every_host_gets_the_documents_of_a_real_job_and_nothing_else() -> None:
    for host in plan().hosts:
        assert sorted(host.files) == [
            f"{CONFIG}/hyperparameters.json",
            f"{CONFIG}/init-config.json",
            f"{CONFIG}/inputdataconfig.json",
            f"{CONFIG}/metric-definition-regex.json",
            f"{CONFIG}/resourceconfig.json",
            f"{CONFIG}/trainingjobconfig.json",
            f"{CONFIG}/upstreamoutputdataconfig.json",
        ]


def test_checkpoints_are_told_where_there_are_any() -> None:
    (first, _) = documents(plan(checkpoint_s3_uri="s3://b/p"), "checkpointconfig")

    assert first == {"LocalPath": "/opt/ml/checkpoints"}


def test_hosts_of_a_heterogeneous_cluster_know_their_own_group_and_get_its_channels_only() -> None:
    groups = (InstanceGroup("gpu", "ml.p2.xlarge", 2), InstanceGroup("cpu", "ml.c5.large", 1))
    channels = (Channel("training", Path("data")), Channel("extra", Path("data"), instance_groups=("cpu",)))

    made = plan(instance_groups=groups, inputs=channels)

    resources = documents(made, "resourceconfig")
    assert [document["current_group_name"] for document in resources] == ["gpu", "gpu", "cpu"]
    assert resources[0]["hosts"] == ["algo-1", "algo-2", "algo-3"]
    assert [group["hosts"] for group in resources[0]["instance_groups"]] == [["algo-1", "algo-2"], ["algo-3"]]
    assert [list(each) for each in documents(made, "inputdataconfig")] == [
        ["training"],
        ["training"],
        ["training", "extra"],
    ]


def test_torch_distributed_becomes_the_hyperparameters_the_sdk_adds() -> None:
    (plain, _) = documents(plan(distribution=TorchDistribution()), "hyperparameters")

    assert plain["sagemaker_torch_distributed_enabled"] == "true"
    assert plain["sagemaker_instance_type"] == '"ml.p2.xlarge"'


def test_hosts_differ_in_nothing_but_their_own_name() -> None:
    first, second = documents(plan(), "resourceconfig")

    assert (first.pop("current_host"), second.pop("current_host")) == ("algo-1", "algo-2")
    assert first == second
    assert first["hosts"] == ["algo-1", "algo-2"]
    assert plan().hosts[0].environment == plan().hosts[1].environment


def test_eight_hosts_are_eight() -> None:
    assert [host.name for host in plan(instance_count=8).hosts] == [f"algo-{number}" for number in range(1, 9)]


def test_hosts_are_listed_in_lexicographic_order() -> None:
    (first, *_) = documents(plan(instance_count=11), "resourceconfig")

    assert first["hosts"][:3] == ["algo-1", "algo-10", "algo-11"]


def test_hyperparameters_are_encoded_as_the_sdk_does() -> None:
    made = plan(hyperparameters={"backend": "gloo", "epochs": 6, "flag": True, "batch-size": 64})
    (first, second) = documents(made, "hyperparameters")

    assert first == second == made.request["HyperParameters"]
    assert (first["backend"], first["epochs"], first["flag"], first["batch-size"]) == ('"gloo"', "6", "true", "64")
    assert first["sagemaker_program"] == '"mnist.py"'
    assert first["sagemaker_job_name"] == '"Mnist-1"'
    assert first["sagemaker_region"] == '"us-west-2"'
    assert first["sagemaker_container_log_level"] == "20"
    assert json.loads(first["sagemaker_submit_directory"])
    assert not [name for name in first if "mpi" in name]


def test_a_distribution_becomes_the_hyperparameters_the_sdk_adds() -> None:
    (plain, _) = documents(plan(distribution=MpiDistribution()), "hyperparameters")
    (full, _) = documents(plan(distribution=MpiDistribution(2, "--NCCL_DEBUG WARN")), "hyperparameters")

    assert plain["sagemaker_mpi_enabled"] == "true"
    assert plain["sagemaker_mpi_custom_mpi_options"] == '""'
    assert "sagemaker_mpi_num_of_processes_per_host" not in plain
    assert full["sagemaker_mpi_num_of_processes_per_host"] == "2"
    assert full["sagemaker_mpi_custom_mpi_options"] == '"--NCCL_DEBUG WARN"'


def test_the_users_environment_reaches_the_hosts_as_it_is_beside_the_platforms() -> None:
    variables = plan("mpi", environment={"A": "$B ${C} 'x'"}).hosts[0].environment

    assert variables["A"] == "$B ${C} 'x'"
    assert variables["TRAINING_JOB_NAME"] == "Mnist-1"
    assert variables["TRAINING_JOB_ARN"] == "arn:x"
    assert variables["HARNESS_LAUNCHER"] == "mpi"


def test_channels_are_told_in_every_host() -> None:
    made = plan(inputs=(Channel("training", Path("data")),))

    assert made.channels == (Channel("training", Path("data")),)
    assert [list(document) for document in documents(made, "inputdataconfig")] == [["training"], ["training"]]


def test_limits_and_names_are_taken_over() -> None:
    made = plan(max_run=7)

    assert (made.training_job_name, made.image, made.max_run, made.source_dir) == ("Mnist-1", "i:1", 7, Path("code"))


def test_hosts_that_will_not_train_together_are_warned_about_and_no_others() -> None:
    (warning,) = plan().warnings

    assert "each of the 2 hosts runs mnist.py alone" in warning
    assert "distribution = { mpi = { enabled = true } }" in warning
    assert plan(instance_count=1).warnings == ()
    assert plan(distribution=MpiDistribution()).warnings == ()


def test_a_plan_says_the_same_every_time() -> None:
    assert plan() == plan()


def test_a_job_without_an_entry_point_has_the_hyperparameters_of_a_plain_estimator() -> None:
    (first, _) = documents(plan(entry_point=None, hyperparameters={"flag": True, "text": "a"}), "hyperparameters")

    assert first == {"flag": "True", "text": "a"}
