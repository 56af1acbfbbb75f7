"""What a host makes of what it is given, said by example; tests/docker/test_toolkit_parity.py holds it to AWS's own."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import contract, documents
from harness.contract import FrameworkError, HostConfig, Observed
from harness.documents import ChannelConfig, HostGroup
from harness.hyperparameters import user_hyperparameters
from tests.generated_jobs import FINITE_VALUES

HOSTS = ("algo-1", "algo-2")
GROUP = HostGroup(contract.HOMOGENEOUS_GROUP, "ml.p2.xlarge", HOSTS)


def config(
    hyperparameters: dict[str, Any] | None = None, *, channels: tuple[str, ...] = (), **resources: Any
) -> HostConfig:
    """A host of two; hyperparameters are encoded as the SDK encodes them."""
    given = {"sagemaker_program": "mnist.py"} | (hyperparameters or {})
    return HostConfig(
        documents.resource_config("algo-1", [GROUP]) | resources,
        documents.input_data_config(ChannelConfig(name) for name in channels),
        {key: json.dumps(value) for key, value in given.items()},
    )


def environment(hyperparameters: dict[str, Any] | None = None, **more: Any) -> dict[str, str]:
    return contract.sm_environment(config(hyperparameters, **more), Observed(num_cpus=4))


def group(name: str, *hosts: str) -> dict[str, Any]:
    return {"instance_group_name": name, "instance_type": "ml.p2.xlarge", "hosts": list(hosts)}


# Encoding of SM_* variables.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gloo", "gloo"),
        ("", ""),
        ('say "x"', 'say "x"'),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (6, "6"),
        (0.01, "0.01"),
        ([1, "b"], '[1,"b"]'),
        ({"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
    ],
)
def test_a_hyperparameter_variable_is_raw_text_or_empty_or_compact_json(value: object, text: str) -> None:
    assert environment({"x": value})["SM_HP_X"] == text


def test_the_name_of_a_hyperparameter_variable_is_upper_case_and_keeps_its_hyphen() -> None:
    variables = environment({"batch-size": 64, "log_interval": 10})

    assert variables["SM_HP_BATCH-SIZE"] == "64"
    assert variables["SM_HP_LOG_INTERVAL"] == "10"
    assert "SM_HP_BATCH_SIZE" not in variables


def test_channels_have_paths_and_a_sorted_list() -> None:
    variables = environment(channels=("training", "eval-set"))

    assert variables["SM_CHANNELS"] == '["eval-set","training"]'
    assert variables["SM_CHANNEL_TRAINING"] == "/opt/ml/input/data/training"
    assert variables["SM_CHANNEL_EVAL-SET"] == "/opt/ml/input/data/eval-set"


def test_the_host_and_its_cluster_are_told() -> None:
    variables = environment(current_host="algo-2")

    assert variables["SM_CURRENT_HOST"] == "algo-2"
    assert variables["SM_HOSTS"] == '["algo-1","algo-2"]'
    assert variables["SM_NETWORK_INTERFACE_NAME"] == "eth0"
    assert variables["SM_CURRENT_INSTANCE_TYPE"] == "ml.p2.xlarge"
    assert variables["SM_CURRENT_INSTANCE_GROUP"] == "homogeneousCluster"
    assert variables["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == '["algo-1","algo-2"]'
    assert variables["SM_INSTANCE_GROUPS"] == '["homogeneousCluster"]'
    assert variables["SM_IS_HETERO"] == "false"
    assert variables["SM_NUM_CPUS"] == "4"
    assert variables["SM_NUM_GPUS"] == "0"


def test_where_things_are_is_told() -> None:
    variables = environment()

    assert variables["SM_MODEL_DIR"] == "/opt/ml/model"
    assert variables["SM_OUTPUT_DIR"] == "/opt/ml/output"
    assert variables["SM_OUTPUT_DATA_DIR"] == "/opt/ml/output/data"
    assert variables["SM_OUTPUT_INTERMEDIATE_DIR"] == "/opt/ml/output/intermediate"
    assert variables["SM_INPUT_DIR"] == "/opt/ml/input"
    assert variables["SM_INPUT_CONFIG_DIR"] == "/opt/ml/input/config"
    assert variables["SM_USER_ENTRY_POINT"] == "mnist.py"
    assert variables["SM_MODULE_NAME"] == "mnist"
    assert variables["SM_LOG_LEVEL"] == "20"


def test_old_documents_without_groups_fall_back_on_the_toolkits_defaults() -> None:
    old = HostConfig({"current_host": "algo-1", "hosts": ["algo-1"]}, {}, {"sagemaker_program": '"a.py"'})

    variables = contract.sm_environment(old, Observed(num_cpus=1))

    assert variables["SM_CURRENT_INSTANCE_TYPE"] == "local"
    assert variables["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == "[]"
    assert variables["SM_NETWORK_INTERFACE_NAME"] == "eth0"


def test_a_topology_is_told_only_where_there_is_one() -> None:
    assert "SM_TOPOLOGY" not in environment(topology=None)
    assert environment(topology=[{"hostName": "algo-1"}])["SM_TOPOLOGY"] == '[{"hostName":"algo-1"}]'


def test_more_than_one_group_makes_a_heterogeneous_cluster() -> None:
    variables = environment(instance_groups=[group("a", "algo-1"), group("b", "algo-2")], current_group_name="a")

    assert variables["SM_IS_HETERO"] == "true"
    assert variables["SM_INSTANCE_GROUPS"] == '["a","b"]'
    assert variables["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == '["algo-1"]'
    assert json.loads(variables["SM_INSTANCE_GROUPS_DICT"])["b"] == group("b", "algo-2")


def test_reserved_hyperparameters_reach_neither_the_script_nor_its_variables() -> None:
    variables = environment({"lr": 0.1, "sagemaker_mpi_enabled": True, "_tuning_objective_metric": "x"})

    assert variables["SM_HPS"] == '{"lr":0.1}'
    assert variables["SM_USER_ARGS"] == '["--lr","0.1"]'
    assert variables["SM_FRAMEWORK_PARAMS"] == '{"sagemaker_mpi_enabled":true}'
    assert not [name for name in variables if name.startswith("SM_HP_SAGEMAKER")]


def test_the_training_environment_is_one_document_of_all() -> None:
    document = json.loads(environment({"lr": 0.1}, channels=("training",))["SM_TRAINING_ENV"])

    assert document["hyperparameters"] == {"lr": 0.1}
    assert document["channel_input_dirs"] == {"training": "/opt/ml/input/data/training"}
    assert document["is_master"] is True
    assert document["master_hostname"] == "algo-1"
    assert "channels" not in document


@given(st.dictionaries(st.from_regex("[a-z]{1,8}", fullmatch=True), st.lists(FINITE_VALUES), max_size=5))
def test_sm_hps_is_the_user_hyperparameters_in_json(values: dict[str, Any]) -> None:
    variables = environment(values)

    assert json.loads(variables["SM_HPS"]) == user_hyperparameters(values)
    assert all(isinstance(value, str) for value in variables.values())


# Who leads.


def test_without_a_distribution_no_group_is_distributed_and_the_first_host_leads() -> None:
    assert contract.distribution_groups(config()) == []
    assert contract.leader(config()) == "algo-1"


def test_the_leader_is_the_first_of_the_groups_hosts_in_file_order() -> None:
    mpi = {"sagemaker_mpi_enabled": True}
    unsorted = [group("homogeneousCluster", "algo-2", "algo-1")]

    assert contract.distribution_groups(config(mpi)) == ["homogeneousCluster"]
    assert contract.leader(config(mpi, instance_groups=unsorted)) == "algo-2"
    assert contract.leader(config(instance_groups=unsorted)) == "algo-1"


def test_named_distribution_groups_come_before_the_current_one() -> None:
    groups = [group("a", "algo-1"), group("b", "algo-2")]
    named = {"sagemaker_distribution_instance_groups": ["b"], "sagemaker_mpi_enabled": True}

    assert contract.distribution_groups(config(named, instance_groups=groups)) == ["b"]
    assert contract.leader(config(named, instance_groups=groups)) == "algo-2"


def test_a_flag_that_is_off_distributes_nothing() -> None:
    assert contract.distribution_groups(config({"sagemaker_mpi_enabled": False})) == []


def test_hosts_of_a_distribution_are_those_of_its_groups_in_file_order() -> None:
    groups = [group("a", "algo-1"), group("b", "algo-3", "algo-2")]
    named = {"sagemaker_distribution_instance_groups": ["b"]}

    assert contract.distribution_hosts(config(named, instance_groups=groups)) == ["algo-3", "algo-2"]
    assert contract.distribution_hosts(config(instance_groups=groups)) == []
    assert contract.distribution_hosts(config(instance_groups=[])) == ["algo-1", "algo-2"]


# What the toolkit sets for itself, and the script inherits.


def inherited(hyperparameters: dict[str, Any] | None = None, **variables: str) -> dict[str, str]:
    return contract.inherited_variables(config(hyperparameters), Observed(num_cpus=4, environment=variables))


def test_the_pytorch_layer_names_the_leader_and_the_network_for_torch() -> None:
    variables = inherited()

    assert (variables["MASTER_ADDR"], variables["MASTER_PORT"]) == ("algo-1", "7777")
    assert variables["NCCL_SOCKET_IFNAME"] == "eth0"
    assert (variables["NCCL_IB_DISABLE"], variables["NCCL_DEBUG"]) == ("1", "WARN")


def test_host_job_and_region_are_told_without_sm_too() -> None:
    variables = inherited({"sagemaker_job_name": "mnist-1", "sagemaker_region": "us-west-2"})

    assert variables["CURRENT_HOST"] == "algo-1"
    assert variables["SAGEMAKER_JOB_NAME"] == "mnist-1"
    assert variables["SAGEMAKER_REGION"] == "us-west-2"


def test_the_platforms_region_is_not_the_toolkits() -> None:
    assert inherited(AWS_REGION="us-west-2")["SAGEMAKER_REGION"] == ""
    assert inherited(AWS_DEFAULT_REGION="us-west-2")["SAGEMAKER_REGION"] == "us-west-2"


def test_the_version_of_torch_is_told_where_there_is_torch() -> None:
    there = Observed(num_cpus=4, torch_version="1.13.0a0")

    assert contract.inherited_variables(config(), there)["SM_DLC_TORCH_VERSION"] == "1.13.0a0"
    assert "SM_DLC_TORCH_VERSION" not in inherited()


# What turns the toolkit's head.


def test_a_program_in_the_variables_comes_before_the_hyperparameter() -> None:
    observed = Observed(num_cpus=4, environment={"SAGEMAKER_PROGRAM": "other.sh"})

    variables = contract.sm_environment(config(), observed)

    assert (variables["SM_USER_ENTRY_POINT"], variables["SM_MODULE_NAME"]) == ("other.sh", "other.sh")


def test_a_job_without_a_program_has_a_module_of_the_name_none() -> None:
    variables = contract.sm_environment(HostConfig(config().resource_config, {}, {}), Observed(num_cpus=4))

    assert (variables["SM_USER_ENTRY_POINT"], variables["SM_MODULE_NAME"]) == ("", "None")


def test_neuron_cores_of_a_trn2_are_known_by_heart() -> None:
    assert environment(current_instance_type="ml.trn2.48xlarge")["SM_NUM_NEURONS"] == "64"
    assert environment()["SM_NUM_NEURONS"] == "0"


@pytest.mark.parametrize("level", ["INFO", None, 20.5])
def test_a_log_level_that_is_no_whole_number_ends_the_toolkit(level: object) -> None:
    with pytest.raises(FrameworkError, match=r"sagemaker_container_log_level is .* whole number"):
        environment({"sagemaker_container_log_level": level})


@pytest.mark.parametrize("groups", [None, 7, True])
def test_distribution_groups_that_are_no_list_end_the_toolkit(groups: object) -> None:
    with pytest.raises(FrameworkError, match="sagemaker_distribution_instance_groups"):
        contract.leader(config({"sagemaker_distribution_instance_groups": groups}))


def test_a_job_name_that_reads_as_a_number_ends_the_toolkit() -> None:
    with pytest.raises(FrameworkError, match="sagemaker_job_name is 2024"):
        inherited({"sagemaker_job_name": 2024})


@pytest.mark.parametrize(
    "hyperparameters", [{"a=b": 1}, {"a\0": 1}, {"a": "\0"}, {"a": "\ud800"}, {"\ud800": 1}, {"a": {"b": "\0"}}]
)
def test_what_no_process_can_be_given_ends_the_toolkit(hyperparameters: dict[str, Any]) -> None:
    with pytest.raises(FrameworkError, match=r"no variable can|no argument can"):
        environment(hyperparameters)


def test_names_that_differ_in_case_only_share_a_variable_and_the_last_one_wins() -> None:
    assert environment({"lr": 1, "LR": 2})["SM_HP_LR"] == "2"
    assert environment({"LR": 2, "lr": 1})["SM_HP_LR"] == "1"


# What comes back.


def test_a_failed_script_is_worded_as_the_toolkit_words_it() -> None:
    command = shlex.join(["python3", "mnist.py", "--name", "a b"])

    assert contract.script_failure(3, "ValueError: x", command) == (
        'ExecuteUserScriptError:\nExitCode 3\nErrorMessage "ValueError: x"\nCommand "python3 mnist.py --name \'a b\'"'
    )
    assert 'ExtraInfo "rank 1"\nCommand' in contract.script_failure(3, "x", command, "rank 1")


def test_a_command_that_was_killed_is_said_to_have_lacked_memory() -> None:
    hint = "OutOfMemory: Process killed by SIGKILL (signal 9)"

    assert f'ExtraInfo "{hint}"\nCommand' in contract.script_failure(137, "", "python3 x.py")
    assert f'ExtraInfo "{hint}\nrank 1"\nCommand' in contract.script_failure(137, "", "python3 x.py", "rank 1")


def test_a_failed_installation_has_the_name_of_the_toolkits_error() -> None:
    failure = contract.script_failure(1, "ERROR: no", "pip install .", error="InstallModuleError")

    assert failure.startswith("InstallModuleError:\nExitCode 1\n")
