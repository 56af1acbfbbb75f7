"""A job file: what is made of a good one, and the exact line for every way in which it can be bad."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from harness.instance_types import InstanceType
from harness.job import Channel, JobFile, MetricDefinition, MpiDistribution
from harness.job_file import parse_job
from harness.not_played import NOT_PLAYED

PATH = Path("jobs/mnist/job.toml")
GOOD: dict[str, Any] = {"entry_point": "mnist.py", "instance_type": "ml.p2.xlarge", "instance_count": 2}


def parse(training: dict[str, Any], **sections: Any) -> JobFile:
    job, problems = parse_job({"training": GOOD | training, **sections}, PATH)

    assert problems == []
    assert job
    return job


def problems_of(training: dict[str, Any] | None = None, *, without: tuple[str, ...] = (), **sections: Any) -> list[str]:
    table = {key: value for key, value in (GOOD | (training or {})).items() if key not in without}
    return parse_job({"training": table, **sections}, PATH)[1]


def test_a_minimal_job_gets_the_sdks_defaults() -> None:
    job = parse({}).training

    assert (job.entry_point, job.instance_types, job.instance_count) == ("mnist.py", ("ml.p2.xlarge",), 2)
    assert job.source_dir == Path("jobs/mnist")
    assert job.base_job_name == "pytorch-training"
    assert job.max_run == 86400
    assert job.distribution is None
    assert job.inputs == ()


def test_everything_a_job_can_say_is_taken_over() -> None:
    job = parse(
        {
            "base_job_name": "mnist",
            "source_dir": "code",
            "framework_version": "1.12.1",
            "py_version": "py38",
            "max_run": 60,
            "hyperparameters": {"epochs": 6, "backend": "gloo", "batch-size": 64},
            "environment": {"A": "$b"},
            "distribution": {
                "mpi": {"enabled": True, "processes_per_host": 2, "custom_mpi_options": "--NCCL_DEBUG WARN"}
            },
            "metric_definitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
            "inputs": {"training": "data"},
        }
    ).training

    assert job.source_dir == Path("jobs/mnist/code")
    assert job.hyperparameters == {"epochs": 6, "backend": "gloo", "batch-size": 64}
    assert job.environment == {"A": "$b"}
    assert job.distribution == MpiDistribution(2, "--NCCL_DEBUG WARN")
    assert job.metric_definitions == (MetricDefinition("loss", "loss=(.*)"),)
    assert job.inputs == (Channel("training", Path("jobs/mnist/data")),)


def test_a_job_file_describes_instance_types_of_its_own() -> None:
    job = parse({}, instance_types={"ml.x.y": {"vcpu": 2, "memory_gib": 0.5, "gpus": 1, "shm_gib": 0.1}})

    assert job.instance_types == {"ml.x.y": InstanceType(2, 0.5, gpus=1, shm_gib=0.1)}


def test_an_instance_type_that_is_badly_described_is_refused() -> None:
    types = {"ml.a.b": {"vcpu": 0, "memory_gib": "8"}, "ml.c.d": {"memory_gib": 8, "cpu": 2}, "ml.e.f": 4}

    assert problems_of(instance_types=types) == [
        "instance_types.ml.a.b.vcpu: 0 is not a whole number from 1 to 1024",
        "instance_types.ml.a.b.memory_gib: '8' is not a number from 0.01 to 65536",
        "instance_types.ml.c.d.vcpu: is missing",
        "instance_types.ml.c.d.cpu: unknown key; did you mean 'vcpu'?",
        "instance_types.ml.e.f: 4 is not a table",
    ]


def test_a_file_uri_is_a_path_and_an_absolute_path_stays_as_it_is() -> None:
    job = parse({"inputs": {"a": "file:///srv/data", "b": "/srv/data"}}).training

    assert [channel.source for channel in job.inputs] == [Path("/srv/data"), Path("/srv/data")]


def test_an_mpi_distribution_that_is_off_is_none() -> None:
    assert parse({"distribution": {"mpi": {"enabled": False}}}).training.distribution is None


def test_hosting_takes_its_code_from_the_trainings_unless_it_names_its_own() -> None:
    hosting = {"entry_point": "inference.py", "instance_type": "ml.m5.large"}

    shared = parse({"source_dir": "code"}, hosting=hosting).hosting
    own = parse({"source_dir": "code"}, hosting={**hosting, "source_dir": "serve"}).hosting

    assert shared
    assert shared.source_dir == Path("jobs/mnist/code")
    assert own
    assert own.source_dir == Path("jobs/mnist/serve")


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("unknown key", {"entrypoint": "a.py"}, "training.entrypoint: unknown key; did you mean 'entry_point'?"),
    ("unknown key like no other", {"zzz": 1}, "training.zzz: unknown key"),
    ("no text", {"entry_point": 3}, "training.entry_point: 3 is not a text"),
    ("empty text", {"instance_type": ""}, "training.instance_type: '' is not a text"),
    (
        "no script",
        {"entry_point": "run.rb"},
        "training.entry_point: 'run.rb' is neither a Python script (.py) nor a shell script (.sh)",
    ),
    ("count zero", {"instance_count": 0}, "training.instance_count: 0 is not a whole number from 1 to 8"),
    ("count negative", {"instance_count": -1}, "training.instance_count: -1 is not a whole number from 1 to 8"),
    ("count too high", {"instance_count": 9}, "training.instance_count: 9 is not a whole number from 1 to 8"),
    ("count no number", {"instance_count": "two"}, "training.instance_count: 'two' is not a whole number from 1 to 8"),
    ("count broken", {"instance_count": 1.5}, "training.instance_count: 1.5 is not a whole number from 1 to 8"),
    ("count a flag", {"instance_count": True}, "training.instance_count: True is not a whole number from 1 to 8"),
    ("max_run zero", {"max_run": 0}, "training.max_run: 0 is not a whole number from 1 to 2419200"),
    ("volume", {"volume_size": 0}, "training.volume_size: 0 is not a whole number from 1 to 16384"),
    (
        "job name",
        {"base_job_name": "my_job"},
        "training.base_job_name: 'my_job' is not letters, digits and inner hyphens, 39 characters at most",
    ),
    (
        "long job name",
        {"base_job_name": "a" * 40},
        f"training.base_job_name: '{'a' * 40}' is not letters, digits and inner hyphens, 39 characters at most",
    ),
    ("hyperparameters no table", {"hyperparameters": 3}, "training.hyperparameters: 3 is not a table"),
    (
        "hyperparameter a date",
        {"hyperparameters": {"day": datetime.date(2026, 1, 2)}},
        "training.hyperparameters.day: 2026-01-02 (date) cannot be encoded as JSON",
    ),
    (
        "hyperparameter not a number",
        {"hyperparameters": {"lr": float("nan")}},
        "training.hyperparameters.lr: nan (float) cannot be encoded as JSON",
    ),
    (
        "too many hyperparameters",
        {"hyperparameters": {f"h{number}": 1 for number in range(101)}},
        "training.hyperparameters: 106 of them, the SDK's own included; the API takes 100 at most",
    ),
    ("variable no text", {"environment": {"A": 1}}, "training.environment.A: 1 is not a text"),
    (
        "variable name",
        {"environment": {"1A": "x"}},
        "training.environment: '1A' is not a variable name the API takes",
    ),
    (
        "distribution of another kind",
        {"distribution": {"xla": {"enabled": True}}},
        "training.distribution.xla: is not supported; use mpi or torch_distributed",
    ),
    ("distribution no table", {"distribution": "mpi"}, "training.distribution: 'mpi' is not a table"),
    (
        "mpi neither on nor off",
        {"distribution": {"mpi": {"processes_per_host": 1}}},
        "training.distribution.mpi.enabled: is missing",
    ),
    (
        "mpi enabled by a text",
        {"distribution": {"mpi": {"enabled": "yes"}}},
        "training.distribution.mpi.enabled: 'yes' is not true or false",
    ),
    (
        "processes",
        {"distribution": {"mpi": {"enabled": True, "processes_per_host": 0}}},
        "training.distribution.mpi.processes_per_host: 0 is not a whole number from 1 to 64",
    ),
    (
        "mpi option misspelt",
        {"distribution": {"mpi": {"enabled": True, "process_per_host": 1}}},
        "training.distribution.mpi.process_per_host: unknown key; did you mean 'processes_per_host'?",
    ),
    (
        "metrics no list",
        {"metric_definitions": {"Name": "a"}},
        "training.metric_definitions: {'Name': 'a'} is not a list of tables",
    ),
    (
        "regex without a group",
        {"metric_definitions": [{"Name": "a", "Regex": "loss"}]},
        "training.metric_definitions[0].Regex: 'loss' has no group (…) to take the value from",
    ),
    (
        "second metric without a name",
        {"metric_definitions": [{"Name": "a", "Regex": "(.)"}, {"Regex": "(.)"}]},
        "training.metric_definitions[1].Name: is missing",
    ),
    (
        "channel name",
        {"inputs": {"my data": "data"}},
        "training.inputs.my data: is no channel name: letters, digits, '.', '-' and '_', 64 characters at most",
    ),
    (
        "channel elsewhere",
        {"inputs": {"training": "http://bucket/x"}},
        "training.inputs.training: 'http://bucket/x': only a folder, a file, a file:// or an s3:// URI can be staged",
    ),
    ("channel empty", {"inputs": {"training": ""}}, "training.inputs.training.s3_data: '' is not a text"),
    ("channel no text", {"inputs": {"training": 1}}, "training.inputs.training: 1 is not a text or a table"),
    (
        "channels too many",
        {"inputs": {f"c{number}": "d" for number in range(21)}},
        "training.inputs: 21 channels; the API takes 20 at most",
    ),
    (
        "not emulated",
        {"rules": []},
        "training.rules: is not emulated (Debugger rules are a service of AWS's own); remove it, "
        "or go on without it: --lenient",
    ),
    ("no input mode", {"input_mode": "Fast"}, "training.input_mode: 'Fast' is not one of File, FastFile, Pipe"),
    (
        "two distributions",
        {"distribution": {"mpi": {"enabled": True}, "torch_distributed": {"enabled": True}}},
        "training.distribution: mpi and torch_distributed are both enabled; choose one",
    ),
    (
        "torchrun of a shell script",
        {"entry_point": "run.sh", "distribution": {"torch_distributed": {"enabled": True}}},
        "training.entry_point: 'run.sh': torch_distributed takes Python scripts (.py) only",
    ),
    (
        "waiting without spot",
        {"max_wait": 90000},
        "training.max_wait: is for managed spot training only; set use_spot_instances = true or remove it",
    ),
    (
        "spot without waiting",
        {"use_spot_instances": True},
        "training.max_wait: is missing; use_spot_instances needs it, max_run at least",
    ),
    (
        "waiting less than running",
        {"use_spot_instances": True, "max_run": 60, "max_wait": 59},
        "training.max_wait: 59 is less than max_run = 60",
    ),
    (
        "checkpoints in a folder of the platform's",
        {"checkpoint_s3_uri": "s3://b/p", "checkpoint_local_path": "/opt/ml/model/c"},
        "training.checkpoint_local_path: '/opt/ml/model/c' lies in a folder that is the platform's; "
        "take '/opt/ml/checkpoints'",
    ),
    (
        "checkpoints without a place",
        {"checkpoint_local_path": "/tmp/c"},
        "training.checkpoint_local_path: needs checkpoint_s3_uri, the place that checkpoints are kept in",
    ),
    (
        "regex too long",
        {"metric_definitions": [{"Name": "a", "Regex": "(x)" + "y" * 500}]},
        "training.metric_definitions[0].Regex: '(x)yyyyyyyyyyyyyyyyy'… has 503 characters; the API takes 500 at most",
    ),
    (
        "augmented manifest as files",
        {"inputs": {"a": {"s3_data": "m", "s3_data_type": "AugmentedManifestFile", "attribute_names": ["x"]}}},
        "training.inputs.a: an AugmentedManifestFile needs input_mode = 'Pipe'",
    ),
    (
        "gzip as files",
        {"inputs": {"a": {"s3_data": "m", "compression": "Gzip"}}},
        "training.inputs.a: compression = 'Gzip' is for input_mode = 'Pipe' only",
    ),
    (
        "channel of no group",
        {"inputs": {"a": {"s3_data": "m", "instance_groups": ["x"]}}},
        "training.inputs.a: instance_groups: no group 'x' in training.instance_groups",
    ),
    (
        "channel with a typo",
        {"inputs": {"a": {"s3_data": "m", "distributon": "x"}}},
        "training.inputs.a.distributon: unknown key; did you mean 'distribution'?",
    ),
]


@pytest.mark.parametrize(("training", "line"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_bad_input_is_one_exact_line(training: dict[str, Any], line: str) -> None:
    assert problems_of(training) == [line]


@pytest.mark.parametrize("key", ["entry_point", "instance_type", "instance_count"])
def test_a_missing_key_is_named(key: str) -> None:
    assert problems_of(without=(key,)) == [f"training.{key}: is missing"]


def test_a_regex_that_is_none_is_named_with_the_reason() -> None:
    (line,) = problems_of({"metric_definitions": [{"Name": "a", "Regex": "("}]})

    assert line.startswith("training.metric_definitions[0].Regex: '(' is not a regular expression: ")


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ({}, "training: is missing"),
        ({"training": 1}, "training: 1 is not a table"),
        ({"training": GOOD, "serving": {}}, "serving: unknown key"),
        ({"training": GOOD, "hostings": {}}, "hostings: unknown key; did you mean 'hosting'?"),
        ({"training": GOOD, "hosting": 1}, "hosting: 1 is not a table"),
    ],
)
def test_sections_are_checked_like_keys(document: dict[str, Any], line: str) -> None:
    assert parse_job(document, PATH)[1] == [line]


@pytest.mark.parametrize(
    ("hosting", "line"),
    [
        ({}, "hosting.entry_point: is missing"),
        ({"initial_instance_count": 2}, "hosting.initial_instance_count: 2 is not a whole number from 1 to 1"),
        ({"instance_typ": "x"}, "hosting.instance_typ: unknown key; did you mean 'instance_type'?"),
    ],
)
def test_hosting_is_checked_like_training(hosting: dict[str, Any], line: str) -> None:
    given = hosting and {"entry_point": "inference.py", "instance_type": "ml.m5.large"} | hosting

    assert line in problems_of(hosting=given)


def test_all_problems_are_reported_together_and_in_no_more_lines_than_there_are() -> None:
    problems = problems_of(
        {"instance_count": 0, "entrypoint": "x", "hyperparameters": {"day": datetime.date(2026, 1, 2)}},
        without=("instance_type",),
        hosting={"entry_point": "inference.py"},
    )

    assert sorted(problem.split(":")[0] for problem in problems) == [
        "hosting.instance_type",
        "training.entrypoint",
        "training.hyperparameters.day",
        "training.instance_count",
        "training.instance_type",
    ]


GROUP = {"instance_group_name": "a", "instance_type": "ml.m5.large", "instance_count": 2}


def test_hosts_are_counted_by_group_or_for_the_whole_job_not_both() -> None:
    assert problems_of({"instance_groups": [GROUP]}) == [
        "training.instance_type: is said by each of instance_groups; remove it",
        "training.instance_count: is said by each of instance_groups; remove it",
    ]


def test_groups_of_hosts_are_read_with_the_groups_that_train_together() -> None:
    job, problems = parse_job(
        {
            "training": {
                "entry_point": "mnist.py",
                "instance_groups": [GROUP, GROUP | {"instance_group_name": "b"}],
                "distribution": {"mpi": {"enabled": True}, "instance_groups": ["b"]},
            }
        },
        PATH,
    )

    assert problems == []
    assert job
    assert (job.training.instance_count, job.training.is_heterogeneous) == (4, True)
    assert job.training.distribution_groups == ("b",)


def test_a_channel_may_say_everything_that_the_sdks_training_input_does() -> None:
    channel = {
        "s3_data": "s3://bucket/prefix",
        "distribution": "ShardedByS3Key",
        "input_mode": "Pipe",
        "content_type": "text/csv",
        "compression": "Gzip",
        "record_wrapping": "RecordIO",
        "shuffle_config": {"seed": 7},
    }

    assert parse({"inputs": {"training": channel}}).training.inputs == (
        Channel(
            "training",
            "s3://bucket/prefix",
            input_mode="Pipe",
            distribution="ShardedByS3Key",
            content_type="text/csv",
            compression="Gzip",
            record_wrapping="RecordIO",
            shuffle_seed=7,
        ),
    )


@pytest.mark.parametrize("argument", NOT_PLAYED)
def test_what_no_local_host_plays_is_refused_or_with_lenient_ignored_by_name(argument: str) -> None:
    table = {"training": GOOD | {argument: "something"}}

    _, strict = parse_job(table, PATH)
    job, lenient = parse_job(table, PATH, lenient=True)

    assert strict == [
        f"training.{argument}: is not emulated ({NOT_PLAYED[argument].why}); remove it, or go on without it: --lenient"
    ]
    assert lenient == []
    assert job
    assert job.training.ignored == (argument,)


def test_what_switches_off_what_no_local_host_plays_is_fine() -> None:
    job = parse({"debugger_hook_config": False, "disable_profiler": True, "enable_remote_debug": False}).training

    assert job.ignored == ()


def test_lenient_lets_no_mistake_pass() -> None:
    table = {"training": GOOD | {"rules": [], "entrypoint": 1, "max_run": 0}}

    problems = parse_job(table, PATH, lenient=True)[1]

    assert [problem.split(":")[0] for problem in problems] == ["training.max_run", "training.entrypoint"]


def test_an_image_that_brings_its_own_train_needs_no_entry_point_and_gets_no_code() -> None:
    job, problems = parse_job(
        {"training": {"image_uri": "mine:1", "instance_type": "ml.m5.large", "instance_count": 1}}, PATH
    )

    assert problems == []
    assert job
    assert (job.training.entry_point, job.training.source_dir) == (None, None)
    assert problems_of({"image_uri": "mine:1", "source_dir": "code"}, without=("entry_point",)) == [
        "training.source_dir: needs entry_point, the script that the image's train is to run"
    ]
