"""The `harness` command as a user runs it, on a machine whose engine does not answer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HARNESS = str(Path(sys.executable).with_name("harness"))
COMMANDS = ["train", "build", "ps", "logs", "clean", "doctor", "serve", "invoke", "stop", "up", "down", "exec"]
COMMANDS += ["plan", "promote", "attach", "cloud-serve", "cloud-clean", "push", "fail"]
NO_ENGINE = "unix:///nonexistent/engine.sock"
HEAVY = {"boto3", "botocore", "docker", "numpy", "PIL", "requests", "rich", "sagemaker", "torch", "yaml"}
GOOD = """
[training]
base_job_name = "test"
entry_point = "train.py"
source_dir = "code"
instance_type = "ml.p2.xlarge"
instance_count = 2
hyperparameters = { epochs = 6 }
environment = { A = "$B" }
inputs = { training = "data" }
"""


@dataclass(frozen=True)
class Ran:
    """What a command did; its repr is all there is to know when an assertion fails."""

    argv: list[str]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def problems(self) -> list[str]:
        return [line.removeprefix("harness: ") for line in self.stderr.splitlines() if line.startswith("harness: ")]


class Place:
    """A folder with a good job in it, where `harness` is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("code/train.py", "data/file"):
            (folder / name).parent.mkdir()
            (folder / name).touch()
        self.job(GOOD)

    def job(self, text: str) -> None:
        (self.folder / "job.toml").write_text(text)

    def harness(self, *arguments: str) -> Ran:
        argv = [HARNESS, *arguments]
        done = subprocess.run(
            argv,
            cwd=self.folder,
            env={**os.environ, "DOCKER_HOST": NO_ENGINE, "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ran(argv, done.returncode, done.stdout, done.stderr)

    def files(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


# Help.


def test_help_begins_with_what_to_do_first_and_lists_every_command(place: Place) -> None:
    ran = place.harness("--help")

    assert ran.exit_code == 0
    assert "harness train mnist_job/job.toml" in ran.stdout
    listed = re.findall(r"^  ([a-z-]+) {2,}\S", ran.stdout.split("Commands:")[1], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    # What click makes of a sentence that has no room beside its command.
    assert "..." not in ran.stdout.split("Commands:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_says_in_full_sentences_what_it_does_and_what_its_options_are(
    place: Place, command: str
) -> None:
    ran = place.harness(command, "--help")

    assert ran.exit_code == 0
    described = ran.stdout.split("Options:")[0].split("\n\n", 1)[1].strip()
    assert described[0].isupper()
    assert re.search(r"[a-z.]\.(\n|$| )", described)


@pytest.mark.parametrize("command", ["train", "serve", "invoke"])
def test_help_of_the_main_commands_has_examples(place: Place, command: str) -> None:
    assert f"  harness {command} " in place.harness(command, "--help").stdout.split("Examples:")[1]


def test_the_version_is_told(place: Place) -> None:
    assert re.search(r"\d+\.\d+\.\d+", place.harness("--version").stdout)


# Start-up.


@pytest.mark.parametrize("module", ["harness.cli", "harness.job_file", "harness.training", "harness.local_run"])
def test_no_heavy_module_is_imported_before_it_is_needed(module: str) -> None:
    program = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    allowed = {"docker", "requests", "yaml"} if module in ("harness.training", "harness.local_run") else set()
    assert {name.split(".")[0] for name in loaded} & HEAVY <= allowed


# Bad input: exit code 2, a line for each problem, no traceback, nothing written.


BAD = {
    "no such file": (["train", "none.toml"], "none.toml: no such job file"),
    "no host": (["train", "job.toml", "--hosts", "0"], "job.toml: training.instance_count: 0 is not a whole number"),
    "hyperparameter": (["train", "job.toml", "--hp", "epochs"], "--hp 'epochs': not of the form key=value"),
    "no hosting": (["serve", "none.tar.gz", "--job", "job.toml"], "job.toml: no [hosting] table"),
}


@pytest.mark.parametrize(("arguments", "line"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_exit_code_2(place: Place, arguments: list[str], line: str) -> None:
    before = place.files()

    ran = place.harness(*arguments)

    assert ran.exit_code == 2
    assert len(ran.problems) == 1
    assert line in ran.problems[0]
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert place.files() == before


def test_several_problems_are_a_line_each(place: Place) -> None:
    place.job(GOOD.replace("instance_count = 2", "instance_count = 0\nentrypoint = 1").replace('"data"', '"other"'))
    before = place.files()

    ran = place.harness("train", "job.toml")

    assert ran.exit_code == 2
    assert len(ran.problems) == len(ran.stderr.splitlines()) == 3
    assert "job.toml: training.entrypoint: unknown key; did you mean 'entry_point'?" in ran.problems
    assert place.files() == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "job.toml", "--hosts", "two"],
        ["train", "job.toml", "--launcher", "ssh"],
        ["train", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_options_that_are_wrong_are_exit_code_2_too(place: Place, arguments: list[str]) -> None:
    ran = place.harness(*arguments)

    assert ran.exit_code == 2
    assert "Error: " in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "arguments", [["train", "job.toml"], ["build"], ["ps"], ["clean"], ["stop"]], ids=lambda words: words[0]
)
def test_without_an_engine_one_line_says_so_and_nothing_is_written(place: Place, arguments: list[str]) -> None:
    before = place.files()

    ran = place.harness(*arguments)

    assert ran.exit_code == 2
    assert len(ran.problems) == 1
    assert NO_ENGINE in ran.problems[0]
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert place.files() == before


def test_doctor_finds_the_engine_missing_and_still_looks_at_the_rest(place: Place) -> None:
    ran = place.harness("doctor", "--json")

    checks = {check["name"]: check for check in json.loads(ran.stdout)}
    assert ran.exit_code == 1
    assert checks["engine"]["ok"] is False
    assert len(checks) > 2
    assert "Traceback" not in ran.stderr


# The plan.


def test_a_dry_run_prints_the_plan_as_json_and_needs_no_engine(place: Place) -> None:
    before = place.files()

    ran = place.harness(
        "train", "job.toml", "--dry-run", "--hosts", "3", "--hp", "epochs=1 lr=0.5", "--launcher", "mpi"
    )

    assert ran.exit_code == 0
    assert ran.stderr == ""
    plan = json.loads(ran.stdout)
    assert [host["name"] for host in plan["hosts"]] == ["algo-1", "algo-2", "algo-3"]
    assert (plan["hyperparameters"]["epochs"], plan["hyperparameters"]["lr"]) == ("1", "0.5")
    assert plan["channels"] == {"training": "data"}
    first = plan["hosts"][0]
    assert first["environment"]["A"] == "$B"
    resources = json.loads(first["files"]["/opt/ml/input/config/resourceconfig.json"])
    assert resources["hosts"] == ["algo-1", "algo-2", "algo-3"]
    assert len(plan["warnings"]) == 1
    assert place.files() == before


def test_a_dry_run_shows_what_each_host_may_use_of_this_machine(place: Place) -> None:
    place.job(GOOD + '[instance_types."ml.p2.xlarge"]\nvcpu = 2\nmemory_gib = 0.5\ngpus = 1\n')

    held = json.loads(place.harness("train", "job.toml", "--dry-run").stdout)
    free = json.loads(place.harness("train", "job.toml", "--dry-run", "--limits", "off").stdout)

    assert held["limits"]["algo-2"]["memory_bytes"] == 2**29
    assert held["notes"][0].startswith("limits: ml.p2.xlarge x 2 hosts: ")
    assert held["notes"][1] == "ml.p2.xlarge has 1 GPU, this machine none: the script finds no GPU here"
    assert free["limits"]["algo-2"]["memory_bytes"] is None
    assert free["notes"] == held["notes"][1:]


def test_hosts_of_several_groups_are_held_each_to_the_type_of_their_own(place: Place) -> None:
    groups = """instance_groups = [
        { instance_group_name = "many", instance_type = "ml.x.many", instance_count = 2 },
        { instance_group_name = "one", instance_type = "ml.x.one", instance_count = 1 },
    ]
    """
    types = """
    [instance_types]
    "ml.x.many" = { vcpu = 1, memory_gib = 0.25 }
    "ml.x.one" = { vcpu = 1, memory_gib = 0.5 }
    """
    lines = [line for line in GOOD.splitlines() if not line.startswith("instance_")]
    place.job("\n".join([*lines, groups, types]))

    plan = json.loads(place.harness("train", "job.toml", "--dry-run").stdout)

    assert {host: held["memory_bytes"] for host, held in plan["limits"].items()} == {
        "algo-1": 2**28,
        "algo-2": 2**28,
        "algo-3": 2**29,
    }


def test_a_dry_run_refuses_what_a_run_would_refuse(place: Place) -> None:
    ran = place.harness("train", "job.toml", "--dry-run", "--hosts", "99")

    assert (ran.exit_code, ran.stdout) == (2, "")


def test_a_dry_run_shows_the_advice_that_a_run_would(place: Place) -> None:
    (place.folder / "code/train.py").write_text("if args.current_host == 'algo-1': save()")
    place.job(GOOD + "distribution = { mpi = { enabled = true } }\n")

    advice = json.loads(place.harness("train", "job.toml", "--dry-run").stdout)["advice"]

    assert [text.split(":")[0] for text in advice] == ["instance_type 'ml.p2.xlarge'", "train.py"]


def test_what_is_not_emulated_is_refused_unless_leniency_is_asked_for(place: Place) -> None:
    place.job(GOOD + "debugger_hook_config = { hook = 1 }\n")

    strict = place.harness("train", "job.toml", "--dry-run")
    lenient = place.harness("train", "job.toml", "--dry-run", "--lenient")

    assert strict.exit_code == 2
    assert len(strict.problems) == 1
    assert strict.problems[0].endswith("--lenient")
    assert lenient.exit_code == 0
    assert json.loads(lenient.stdout)["ignored"] == ["debugger_hook_config"]


# Endings.


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--stop-after", "5x"], "--stop-after: '5x' is no duration, such as 500ms, 5s or 2m"),
        (["--grace", "-1s"], "--grace: '-1s' is no duration, such as 500ms, 5s or 2m"),
        (
            ["--interrupt-after", "5s", "--interrupt-after", "soon"],
            "--interrupt-after: 'soon' is no duration, such as 500ms, 5s or 2m",
        ),
        (
            ["--interrupt-after", "5s"],
            "--interrupt-after: only managed spot training is interrupted; set use_spot_instances = true and max_wait "
            "in the job file",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_time_that_is_none_or_makes_no_sense_is_one_line_and_exit_code_2(
    place: Place, options: list[str], problem: str
) -> None:
    before = place.files()

    ran = place.harness("train", "job.toml", *options)

    assert ran.exit_code == 2
    assert ran.problems == [problem]
    assert place.files() == before


@pytest.mark.parametrize("uri", ["https://host/x", "ftp://x", "s3://", "file://"])
def test_checkpoints_in_no_place_are_refused_by_name(place: Place, uri: str) -> None:
    place.job(GOOD + f'checkpoint_s3_uri = "{uri}"\n')

    ran = place.harness("train", "job.toml")

    assert ran.exit_code == 2
    assert ran.problems == [
        f"job.toml: training.checkpoint_s3_uri: {uri!r} is neither an s3:// URI nor a folder of this machine"
    ]


def test_a_folder_of_checkpoints_is_relative_to_the_job_file_and_told_as_a_uri(place: Place) -> None:
    place.job(GOOD + 'checkpoint_s3_uri = "my checkpoints"\n')

    plan = json.loads(place.harness("train", "job.toml", "--dry-run").stdout)

    where = (place.folder / "my checkpoints").as_uri()
    assert plan["checkpoints"] == {"local_path": "/opt/ml/checkpoints", "place": where}
    assert plan["request"]["CheckpointConfig"] == {"S3Uri": where, "LocalPath": "/opt/ml/checkpoints"}


def test_ctrl_c_while_a_command_that_is_over_winds_up_changes_nothing() -> None:
    program = """
import atexit, time
from harness.cli import main
atexit.register(lambda: (print("over", flush=True), time.sleep(0.5)))
main(["train", "missing.toml"])
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "over\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)

    assert (running.returncode, said) == (2, "harness: missing.toml: no such job file\n")
