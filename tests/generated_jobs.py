"""Jobs as hypothesis makes them up: the documents of one host, and the variables its container is started with.

The documents are such as the platform can write (CreateTrainingJob's limits apart); what users can put into them is as
nasty as it gets. Some make the toolkit itself fail, as a job in the cloud would.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


@dataclass(frozen=True)
class GeneratedJob:
    resource_config: Mapping[str, Any]
    input_data_config: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    environment: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def size(self) -> int:
        return len(json.dumps(self.document()))


BLANKS = ["", " ", "\n", "\r\n", " 1", "1 ", "a b", "s3://bucket/a b"]
CHARACTERS = ["\x00", "\x01", "\x7f", "\ud800", "\udc80", "\ufeff1", "\u2028", *"\t\\éß日😀"]
WORDS = [
    "'",
    '"',
    "'a'",
    '"half',
    "$HOME",
    "`id`",
    "--flag",
    "-",
    "--",
    "a=b",
    ",",
    "%s",
    "{x}",
    "true",
    "false",
    "null",
    "NaN",
    "-Infinity",
    "1e999",
    "1",
    "-0",
    "[]",
    "{}",
    '{"a":1,"a":2}',
    '"\\ud83d"',
    "True",
    "None",
    "01",
    "1_000",
    "0x1",
    "[",
]
NASTY = [*BLANKS, *CHARACTERS, *WORDS, "9" * 40, "a" * 2500]
# A few scripts: letters whose upper case differs between versions of Python would tell us nothing about the toolkit.
TEXTS = st.sampled_from(NASTY) | st.text(st.sampled_from("aZ_-.é ßж日\"'\\\n=,[]{}:0😀"), max_size=8)


def values(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    """Whatever json.loads can give."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=6,
    )


VALUES = values(st.floats())
FINITE_VALUES = values(st.floats(allow_nan=False, allow_infinity=False))  # those that are equal to themselves
# SDK v2 writes every value through json.dumps, v3 leaves strings as they are, and neither stops a request made by hand.
ENCODED = VALUES.map(json.dumps) | VALUES.map(lambda value: json.dumps(value, ensure_ascii=False)) | TEXTS | VALUES
KEYS = (
    st.sampled_from(
        ["lr", "LR", "epochs", "batch-size", "e", "model_dir", "sagemaker", "hosts", "ß", "SS", "mp_parameters"]
    )
    | TEXTS
)

SWITCHES = [True, False, 1, 0, None, "", "true", "false", "True", "False", "null", '"false"', "0", "1", "[]", "{}"]
FLAGS = [
    "sagemaker_parameter_server_enabled",
    "sagemaker_mpi_enabled",
    "sagemaker_torch_distributed_enabled",
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
]
PROGRAMS = [
    "mnist.py",
    "train.sh",
    "package.module",
    "dir/train.py",
    "a.py.py",
    ".py",
    "py",
    "",
    "123",
    "null",
    "true",
    "é.py",
]
# Reserved hyperparameters and the values they meet: as the SDKs write them, and as somebody may by hand.
RESERVED: dict[str, st.SearchStrategy[Any]] = {
    "sagemaker_submit_directory": st.sampled_from(
        ['"/opt/ml/code"', "s3://bucket/sourcedir.tar.gz", "null", "7", "[]"]
    ),
    "sagemaker_container_log_level": st.sampled_from(
        ["20", "10", "40", "true", '"20"', "INFO", "null", "20.5", "-1", ""]
    ),
    "sagemaker_job_name": st.sampled_from(['"mnist-1"', "mnist-1", "2024", '"2024"', "null", "", "true"]),
    "sagemaker_region": st.sampled_from(['"us-west-2"', "us-west-2", "null", "", "0", "7", "false", "[]"]),
    "sagemaker_s3_output": st.sampled_from(['"s3://bucket/out"', "null"]),
    "sagemaker_enable_cloudwatch_metrics": st.sampled_from(["false", "true"]),
    "_tuning_objective_metric": st.sampled_from(["loss", '"loss"']),
    "default_user_module_name": TEXTS,
    "sagemaker_network_interface_name": st.just("eth1"),
    "sagemaker_mpi_num_of_processes_per_host": st.sampled_from(["2", '"2"', "null"]),
    "sagemaker_mpi_custom_mpi_options": st.sampled_from(['"--NCCL_DEBUG INFO"', "-x A=b"]),
    "sagemaker_instance_type": st.just('"ml.p3.16xlarge"'),
    "sagemaker_": TEXTS,
}
VARIABLES: dict[str, st.SearchStrategy[str]] = {
    "TRAINING_JOB_NAME": st.sampled_from(["Mnist-1", ""]),
    "SAGEMAKER_TRAINING_MODULE": st.sampled_from(["sagemaker_pytorch_container.training:main", ""]),
    "AWS_REGION": st.just("eu-west-1"),
    "SAGEMAKER_REGION": st.just("sa-east-1"),
    "MASTER_ADDR": st.just("10.0.0.1"),
    "NCCL_DEBUG": st.just("TRACE"),
    "SM_HP_LR": st.just("7"),
}
# Variables by which a user can turn the toolkit's head; seldom set, as some make it fail.
ODD_VARIABLES: dict[str, st.SearchStrategy[str]] = {
    "SAGEMAKER_PROGRAM": st.sampled_from(["other.py", "other", ""]),
    "SAGEMAKER_SUBMIT_DIRECTORY": st.just("/elsewhere"),
    "SAGEMAKER_CONTAINER_LOG_LEVEL": st.sampled_from(["10", " 10 ", "INFO", ""]),
    "SAGEMAKER_JOB_NAME": st.just("another"),
    "SM_HP_MP_PARAMETERS": st.sampled_from(["", "{}", '{"ddp":true}', "{ }"]),
    "AWS_DEFAULT_REGION": st.sampled_from(["ap-south-1", ""]),
    "CURRENT_HOST": st.just("algo-9"),
}
CHANNELS = st.sampled_from(
    ["training", "TRAINING", "Training", "test-data", "eval.set", "a_b", "_", "-", ".", "x"]
) | st.text(st.sampled_from("abXY019._-"), min_size=1, max_size=12)


@st.composite
def resource_configs(draw: st.DrawFn) -> dict[str, Any]:
    hosts = sorted(f"algo-{number}" for number in range(1, draw(st.integers(1, 12)) + 1))
    names = draw(st.sampled_from([["homogeneousCluster"], ["a"], ["a", "b"], ["ab", "b", "c"]]))
    groups: list[dict[str, Any]] = [
        {"instance_group_name": name, "instance_type": draw(instance_types), "hosts": []} for name in names
    ]
    for host in draw(st.permutations(hosts)):
        draw(st.sampled_from(groups))["hosts"].append(host)
    current = draw(st.sampled_from([group for group in groups if group["hosts"]]))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "current_instance_type": st.just(current["instance_type"]),
        "current_group_name": st.just(current["instance_group_name"]),
        "instance_groups": st.just(groups),
        "network_interface_name": st.sampled_from(["eth0", "eth1", "ethwe"]),
        "topology": st.sampled_from([None, [], [{"hostName": "algo-1", "capacityUnitId": "é"}]]),
    }
    given_keys = draw(st.just(set(optional)) | st.sets(st.sampled_from(sorted(optional))))
    return {
        "current_host": draw(st.sampled_from(current["hosts"])),
        "hosts": hosts,
        **{key: draw(optional[key]) for key in optional if key in given_keys},
    }


instance_types = st.sampled_from(["ml.p2.xlarge", "ml.m5.large", "ml.trn2.48xlarge", "local"])


@st.composite
def input_data_configs(draw: st.DrawFn) -> dict[str, Any]:
    channel = st.fixed_dictionaries(
        {
            "TrainingInputMode": st.sampled_from(["File", "Pipe"]),
            "S3DistributionType": st.sampled_from(["FullyReplicated", "ShardedByS3Key"]),
            "RecordWrapperType": st.sampled_from(["None", "RecordIO"]),
        },
        optional={"ContentType": TEXTS},
    )
    count = draw(st.integers(0, 20))
    names = draw(st.lists(CHANNELS, min_size=count, max_size=count, unique=True))
    return {name: draw(channel) for name in names}


@st.composite
def hyperparameter_documents(draw: st.DrawFn, groups: list[str]) -> dict[str, Any]:
    """hyperparameters.json: the user's, and reserved ones in any order among them."""
    user = draw(st.dictionaries(KEYS, ENCODED, max_size=6))
    program = draw(st.sampled_from(PROGRAMS))
    reserved: dict[str, Any] = {"sagemaker_program": draw(st.sampled_from([json.dumps(program), program]))}
    flags = draw(st.sets(st.sampled_from(FLAGS), max_size=3))
    reserved |= {flag: draw(st.just("true") | st.sampled_from(SWITCHES)) for flag in sorted(flags)}
    others = draw(st.sets(st.sampled_from(sorted(RESERVED)), max_size=3))
    reserved |= {key: draw(RESERVED[key]) for key in sorted(others)}
    if draw(st.integers(0, 3)) == 0:
        named = st.lists(st.sampled_from([*groups, "elsewhere"]), max_size=3, unique=True).map(json.dumps)
        odd = st.sampled_from(["null", "ab", '"b"', "7", "true", "{}", '{"a": 1}', "", '["a", null]'])
        reserved["sagemaker_distribution_instance_groups"] = draw(named | odd)
    if draw(st.integers(0, 9)) == 0:
        del reserved["sagemaker_program"]
    items = draw(st.permutations([*user.items(), *reserved.items()]))
    return dict(items)


@st.composite
def generated_jobs(draw: st.DrawFn) -> GeneratedJob:
    resources = draw(resource_configs())
    groups = [group["instance_group_name"] for group in resources.get("instance_groups", [])]
    usual = draw(st.fixed_dictionaries({}, optional=VARIABLES))
    odd = draw(st.just({}) | st.fixed_dictionaries({}, optional=ODD_VARIABLES))
    return GeneratedJob(resources, draw(input_data_configs()), draw(hyperparameter_documents(groups)), {**usual, **odd})


def many_jobs(count: int) -> list[GeneratedJob]:
    """The same ``count`` jobs whenever they are asked for (tests/conftest.py derandomizes)."""
    found: list[GeneratedJob] = []

    @settings(max_examples=count, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(generated_jobs())
    def collect(job: GeneratedJob) -> None:
        found.append(job)

    collect()
    return found
