"""What a host is given and gives back, held to the facts of the platform and of AWS's toolkit."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import contract, documents
from harness.contract import HostConfig, Observed
from harness.documents import ChannelConfig, HostGroup

HOSTS = ("algo-1", "algo-2")
GROUP = HostGroup(contract.HOMOGENEOUS_GROUP, "ml.p2.xlarge", HOSTS)
NASTY = [
    "",
    " ",
    "'",
    '"',
    "\\",
    "\n",
    "$HOME",
    "`id`",
    "a b",
    "--flag",
    "-",
    "true",
    "null",
    "1",
    "é",
    "日本",
    "[",
    "{}",
    "\x00",
]
TEXTS = st.one_of(st.sampled_from(NASTY), st.text())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


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


# The platform's documents.


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


# Command line.


@pytest.mark.parametrize(
    ("value", "argument"),
    [
        ("gloo", "gloo"),
        (True, "True"),
        (None, ""),
        ([1, 2], "[1, 2]"),
        ({"b": [1, 2], "a": 1}, "a=1,b=[1, 2]"),
        (0.5, "0.5"),
    ],
)
def test_an_argument_is_the_python_text_of_its_value(value: object, argument: str) -> None:
    assert contract.command_line_arguments({"key": value}) == ["--key", argument]


def test_arguments_are_sorted_by_key_and_a_single_letter_gets_one_hyphen() -> None:
    assert contract.command_line_arguments({"lr": 0.1, "e": 3, "batch-size": 64}) == [
        "--batch-size",
        "64",
        "-e",
        "3",
        "--lr",
        "0.1",
    ]


@pytest.mark.parametrize(
    ("raw", "value"), [('"gloo"', "gloo"), ("gloo", "gloo"), ("6", 6), ("true", True), ("null", None), ("", ""), (7, 7)]
)
def test_a_hyperparameter_is_read_as_json_where_it_is_json(raw: object, value: object) -> None:
    assert contract.read_hyperparameters({"x": raw}) == {"x": value}


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_hyperparameters_come_back_from_their_encoding_as_they_were(values: dict[str, Any]) -> None:
    encoded = {key: json.dumps(value) for key, value in values.items()}

    assert contract.read_hyperparameters(encoded) == values


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=5))
def test_every_user_hyperparameter_is_one_flag_and_one_argument(values: dict[str, Any]) -> None:
    user = contract.user_hyperparameters(values)

    arguments = contract.command_line_arguments(values)

    assert [flag.lstrip("-") for flag in arguments[::2]] == [key.lstrip("-") for key in sorted(user)]
    assert len(arguments) == 2 * len(user)
    assert all(isinstance(argument, str) for argument in arguments)


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=5))
def test_sm_hps_is_the_user_hyperparameters_in_json(values: dict[str, Any]) -> None:
    variables = environment(values)

    assert json.loads(variables["SM_HPS"]) == contract.user_hyperparameters(values)
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
