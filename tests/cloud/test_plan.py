"""`harness plan` as a user runs it: what it shows is what the SageMaker SDK makes of the job file."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

from harness.cloud_sdk import SDK_VENV, without_aws
from harness.environment import ROOT
from harness.job_file import read_job_file
from harness.sdk_order import order_of
from harness.training_request import training_job_from_request
from tests.cloud.conftest import ROLE, Place

SETTINGS = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "SAGEMAKER_ROLE": ROLE,
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # nobody is there
}


def request_of(plan: dict[str, Any], operation: str) -> dict[str, Any]:
    (found,) = [each["Parameters"] for each in plan["Requests"] if each["Operation"] == operation]
    parameters: dict[str, Any] = found
    return parameters


def local_run(place: Place, name: str = "test-2026-11-23-01-01-30-544", **described: Any) -> None:
    """A run as `harness train` leaves it, by default a completed one of the job as it stands."""
    request = {
        "TrainingJobName": name,
        "HyperParameters": {"epochs": "3", "sagemaker_program": '"train.py"'},
    }
    answer = {
        "TrainingJobStatus": "Completed",
        "CreationTime": "2999-01-01T00:00:00+00:00",
        "TrainingTimeInSeconds": 30,
        **described,
    }
    place.write(f"runs/{name}/request.json", json.dumps(request))
    place.write(f"runs/{name}/describe.json", json.dumps(answer))


def test_without_any_aws_settings_the_plan_is_whole_and_says_what_is_missing(place: Place) -> None:
    ran = place.harness("plan", "job.toml")

    assert ran.exit_code == 4, ran
    for word in ("CreateTrainingJob", "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "upload training"):
        assert word in ran.stdout, ran
    assert "pytorch-training:1.12.1-gpu-py38" in ran.stdout, ran
    assert "at most $2.25" in ran.stdout, ran
    for missing in ("aws configure", "AWS_DEFAULT_REGION", "SAGEMAKER_ROLE"):
        assert missing in ran.stdout, ran


def test_with_settings_it_is_of_that_region_and_role_and_nothing_is_certain_to_fail(place: Place) -> None:
    ran = place.harness("plan", "job.toml", "--instance-type", "ml.g4dn.xlarge", "--json", **SETTINGS)

    assert ran.exit_code == 0, ran
    request = request_of(ran.json, "CreateTrainingJob")
    assert request["RoleArn"] == ROLE
    assert ".eu-west-1." in request["AlgorithmSpecification"]["TrainingImage"]
    assert request["ResourceConfig"]["InstanceType"] == "ml.g4dn.xlarge"
    (variant,) = request_of(ran.json, "CreateEndpointConfig")["ProductionVariants"]
    assert variant["InstanceType"] == "ml.g4dn.xlarge"


def test_only_what_the_sdk_adds_is_different_from_the_local_run(place: Place) -> None:
    plan = place.harness("plan", "job.toml", "--json", **SETTINGS).json

    different = {each["Field"].split(".")[0] for each in plan["Differences"] if each["Mark"] == "different"}
    mapped = {each["Field"] for each in plan["Differences"] if each["Mark"] == "mapped"}
    assert different == {"AlgorithmSpecification", "DebugHookConfig", "ProfilerConfig"}
    assert mapped == {
        "AlgorithmSpecification.TrainingImage",
        "HyperParameters.sagemaker_job_name",
        "HyperParameters.sagemaker_region",
        "HyperParameters.sagemaker_submit_directory",
        "InputDataConfig[training].DataSource.S3DataSource.S3Uri",
        "OutputDataConfig.S3OutputPath",
        "RoleArn",
        "TrainingJobName",
    }


def test_the_sdks_refusal_of_ml_p2_is_found_before_anything_is_sent(place: Place) -> None:
    place.job(('"1.12.1"', '"1.13.1"'), ('"py38"', '"py39"'))

    ran = place.harness("plan", "job.toml", "--json", **SETTINGS)

    assert ran.exit_code == 4, ran
    certain = [each["Text"] for each in ran.json["Obstacles"] if each["Certain"]]
    assert any("P2 instances have been deprecated" in text for text in certain), certain
    assert any("INSTANCE_TYPE=ml.g4dn.xlarge" in text for text in certain), certain
    assert ran.json["Requests"] == []


def test_arguments_that_only_aws_plays_are_part_of_it(place: Place) -> None:
    place.job(("max_run = 3600", "max_run = 3600\ndisable_profiler = true\ndebugger_hook_config = false"))

    request = request_of(place.harness("plan", "job.toml", "--json", **SETTINGS).json, "CreateTrainingJob")

    assert "DebugHookConfig" not in request
    assert request["ProfilerConfig"] == {"DisableProfiler": True}


def test_groups_shuffling_and_channels_reach_the_request(place: Place) -> None:
    place.job(
        (
            'instance_type = "ml.p2.xlarge"\ninstance_count = 2',
            "instance_groups = [\n"
            '  { instance_group_name = "a", instance_type = "ml.g4dn.xlarge", instance_count = 1 },\n'
            '  { instance_group_name = "b", instance_type = "ml.m5.large", instance_count = 1 },\n]',
        ),
        (
            'training = "data"',
            'training = { s3_data = "data", instance_groups = ["a"], shuffle_config = { seed = 3 } }',
        ),
        ("processes_per_host = 1 }", 'processes_per_host = 1 }, instance_groups = ["a"]'),
    )

    ran = place.harness("plan", "job.toml", "--json", **SETTINGS)

    request = request_of(ran.json, "CreateTrainingJob")
    assert [each["InstanceGroupName"] for each in request["ResourceConfig"]["InstanceGroups"]] == ["a", "b"]
    (channel,) = request["InputDataConfig"]
    assert channel["ShuffleConfig"] == {"Seed": 3}
    assert channel["DataSource"]["S3DataSource"]["InstanceGroupNames"] == ["a"]


def test_the_same_data_has_the_same_prefix_and_changed_data_another(place: Place) -> None:
    def key() -> str:
        found: str = place.harness("plan", "job.toml", "--json", **SETTINGS).json["Uploads"]["training"]["Prefix"]
        return found

    first = key()
    same = key()
    place.write("data/images", "54321")

    assert same == first
    assert key() != first


def test_a_local_run_is_what_is_compared_and_measured(place: Place) -> None:
    local_run(place)

    plan = place.harness("plan", "job.toml", "--json", **SETTINGS).json

    assert plan["LocalRun"] == "test-2026-11-23-01-01-30-544"
    assert plan["Estimate"]["LocalSeconds"] == 60  # 30 s for 3 epochs, and there are 6
    fields = {each["Field"]: each for each in plan["Differences"]}
    assert fields["HyperParameters.epochs"]["Mark"] == "different"
    assert not any("local run" in each["Text"] for each in plan["Obstacles"])


def test_a_local_run_that_failed_or_is_older_than_the_code_is_told(place: Place) -> None:
    local_run(place, TrainingJobStatus="Failed", CreationTime="2020-01-01T00:00:00+00:00")

    obstacles = " ".join(
        each["Text"] for each in place.harness("plan", "job.toml", "--json", **SETTINGS).json["Obstacles"]
    )

    assert "test-2026-11-23-01-01-30-544 is Failed" in obstacles
    assert "older than the code (inference.py, train.py)" in obstacles


def test_a_run_of_another_job_is_no_run_of_this_one(place: Place) -> None:
    local_run(place, "other-2026-11-23-01-01-30-544")

    assert place.harness("plan", "job.toml", "--json", **SETTINGS).json["LocalRun"] is None


def test_bad_input_is_refused_with_every_problem(place: Place) -> None:
    place.job(("max_run = 3600", "max_run = -1\nnonsense = 1"))

    ran = place.harness("plan", "job.toml")

    assert ran.exit_code == 2, ran
    assert ran.stderr.count("harness: ") == 2, ran


def test_a_profile_that_is_not_there_is_no_traceback(place: Place) -> None:
    ran = place.harness("plan", "job.toml", AWS_PROFILE="nobody")

    assert ran.exit_code == 4, ran
    assert "no AWS credentials" in ran.stdout, ran
    assert "Traceback" not in ran.stderr, ran


def test_making_the_requests_opens_no_connection(place: Place) -> None:
    guard = (
        "import runpy, sys\n"
        "def forbid(event, arguments):\n"
        "    if event in ('socket.connect', 'socket.getaddrinfo'):\n"
        "        raise SystemExit(f'{event} {arguments!r}')\n"
        "sys.addaudithook(forbid)\n"
        "runpy.run_module('harness.sdk', run_name='__main__')\n"
    )
    order = order_of(read_job_file(place.folder / "job.toml"), role=ROLE, region="us-west-2", uploads={})

    done = subprocess.run(
        [str(ROOT / SDK_VENV / "bin" / "python"), "-c", guard],
        input=json.dumps(order),
        env=without_aws(place.environment({})),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert '"requests"' in done.stdout, done.stderr
    assert "telemetry to" not in done.stdout + done.stderr


def test_the_request_is_read_back_as_the_very_job_that_local_hosts_play(place: Place) -> None:
    """The promise 'promoted unchanged': what the SDK sends of the file, and what is run here, are one job."""
    plan = place.harness("plan", "job.toml", "--json", **SETTINGS).json
    request = request_of(plan, "CreateTrainingJob")
    here = read_job_file(place.folder / "job.toml").training

    there = training_job_from_request(request)

    (channel,) = here.inputs
    assert there == replace(
        here,
        # In S3, or made by AWS: the mapped fields, as the plan marks them.
        source_dir=None,
        base_job_name=request["TrainingJobName"],
        image_uri=request["AlgorithmSpecification"]["TrainingImage"],
        role=ROLE,
        output_path=request["OutputDataConfig"]["S3OutputPath"],
        inputs=(replace(channel, source=request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]),),
        # The image stands for these two.
        framework_version=None,
        py_version=None,
        # The SDK's own defaults.
        enable_sagemaker_metrics=True,
        ignored=("debugger_hook_config", "profiler_config"),
    )
