"""The shape of the code, held by reading it: what may import what, and how long things get.

P pure core ← E edges ← S stories ← F faces: a module imports its own layer and those below, never one above.
I is what runs inside the image, where of all this only the modules of SHARED_WITH_THE_IMAGE exist.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import image_build

REPOSITORY = Path(__file__).parents[2]
HARNESS = REPOSITORY / "harness"
ORDER = "PESF"
LAYERS = {
    "P": {
        "advice",
        "async_request",
        "channel_table",
        "cloud_difference",
        "cloud_errors",
        "cloud_permissions",
        "cloud_plan",
        "cloud_seen",
        "compose",
        "contract",
        "data_objects",
        "data_processing",
        "deadline",
        "describe",
        "differences",
        "documents",
        "door_environment",
        "duration",
        "endpoint_log",
        "endpoint_records",
        "engine_log",
        "errors",
        "event_stream",
        "faults",
        "harness",
        "hosting_request",
        "hyperparameters",
        "image_names",
        "instance_types",
        "job",
        "labels",
        "limits",
        "listing",
        "metrics",
        "not_played",
        "outcome",
        "plan",
        "prices",
        "python_fit",
        "query_protocol",
        "ranks",
        "receipt",
        "request_fields",
        "s3_requests",
        "sdk_order",
        "shape_check",
        "status",
        "table",
        "traffic",
        "training_request",
        "training_table",
        "training_update",
        "transform_records",
        "transform_request",
        "transform_status",
        "unverified",
        "wire",
        "warm_key",
    },
    "E": {
        "archives",
        "artifacts",
        "batches",
        "budget",
        "checkpoint_place",
        "checkpoints",
        "cloud_account",
        "cloud_facts",
        "cloud_look",
        "cloud_record",
        "cloud_sdk",
        "cluster",
        "compose_command",
        "connections",
        "container_command",
        "control",
        "data_sources",
        "debian",
        "door_objects",
        "door_listing",
        "door_server",
        "ecr",
        "door_state",
        "endpoint",
        "endpoint_container",
        "engine",
        "environment",
        "fault_effects",
        "file_digests",
        "gateway",
        "door_hosts",
        "job_queue",
        "fleet",
        "follow",
        "host_log",
        "http_messages",
        "image_build",
        "instances",
        "job_file",
        "kept_buckets",
        "kept_logs",
        "log_shipping",
        "machine",
        "model_archive",
        "moto_dispatch",
        "moto_objects",
        "moto_services",
        "order",
        "owner",
        "payload",
        "picture",
        "pipes",
        "preflight",
        "process",
        "record",
        "records",
        "removal",
        "results",
        "run",
        "s3_content",
        "s3_objects",
        "s3_upload",
        "sagemaker_env",
        "service_model",
        "sources",
        "spares",
        "staging",
        "steps",
        "tags",
        "tar",
        "volumes",
        "wanted_answers",
        "warm_cluster",
    },
    "S": {
        "abandoned",
        "async_invocations",
        "cloud_hosting",
        "cloud_planning",
        "cloud_training",
        "control_plane",
        "control_plane_hosting",
        "control_plane_training",
        "control_plane_transform",
        "docker_instances",
        "doctor",
        "endpoint_life",
        "expectations",
        "fault_injector",
        "hosting",
        "idle_hosts",
        "image_push",
        "inventory",
        "invocations",
        "job_queue",
        "job_contract",
        "run_logs",
        "stop_job",
        "sweep",
        "training",
        "transform_life",
        "transform_work",
        "warm_hosts",
        "watch",
    },
    "F": {
        "__main__",
        "api",
        "bootstrap",
        "cli",
        "cli_cloud",
        "cli_door",
        "cli_durations",
        "cli_fail",
        "cli_hosting",
        "cli_options",
        "cli_stop",
        "cloud_report",
        "consent",
        "door",
        "hosted_model",
        "local_hosting",
        "local_run",
        "pytest_plugin",
        "promoted_endpoint",
        "promotion",
        "report",
        "docker_training",
        "running_job",
        "run_report",
        "training_executor",
    },
}
MODULES = sorted(HARNESS.glob("*.py"))
PROGRAMS = sorted((HARNESS / "image").rglob("*.py"))
OURS = [*MODULES, *PROGRAMS, *sorted((REPOSITORY / "mnist_job").rglob("*.py"))]
SHARED_WITH_THE_IMAGE = {Path(name).stem for name in image_build.MODULES} - {"__init__"}
TOOLKITS = {
    "botocore",
    "sagemaker_inference",
    "sagemaker_pytorch_serving_container",
    "sagemaker_training",
    "torch",
    "ts",
}
PURE_STANDARD_LIBRARY_ONLY = SHARED_WITH_THE_IMAGE | {
    "advice",
    "cloud_difference",
    "cloud_errors",
    "cloud_permissions",
    "cloud_plan",
    "cloud_seen",
    "errors",
    "instance_types",
    "job",
    "labels",
    "limits",
    "outcome",
    "plan",
    "prices",
    "python_fit",
    "sdk_order",
    "status",
    "table",
}


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of every import anywhere in a file; name is '' for ``import module``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def harness_modules(path: Path) -> set[str]:
    """First names below ``harness`` that a file imports."""
    found = set()
    for module, name in imports(path):
        parts = module.split(".")
        if parts[0] == "harness":
            found.add(parts[1] if len(parts) > 1 else name)
    return found


def layer(module: str) -> str | None:
    return next((key for key, names in LAYERS.items() if module in names), None)


def test_every_module_has_its_layer_and_every_layer_only_modules_that_exist() -> None:
    named = set().union(*LAYERS.values())
    there = {"harness" if path.stem == "__init__" else path.stem for path in MODULES}

    assert there - named == set(), "give these a layer in LAYERS"
    assert named - there == set(), "these are no longer there"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_imports_its_own_layer_or_one_below(path: Path) -> None:
    own = layer("harness" if path.stem == "__init__" else path.stem)
    assert own

    above = {name for name in harness_modules(path) if ORDER.index(layer(name) or "F") > ORDER.index(own)}

    assert above == set()


@pytest.mark.parametrize("name", sorted(PURE_STANDARD_LIBRARY_ONLY))
def test_the_core_touches_neither_files_processes_network_nor_the_clock(name: str) -> None:
    edges = {"os", "subprocess", "socket", "shutil", "tempfile", "time", "threading", "docker", "io", "urllib"}

    assert {module.split(".")[0] for module, _ in imports(HARNESS / f"{name}.py")} & edges == set()


def test_subprocesses_are_started_by_one_module() -> None:
    # `bootstrap` and `environment` run before anything is installed, and by the former's own words alone.
    starting = {"run", "Popen", "call", "check_call", "check_output"}
    starters = {
        path.stem
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr) in {("subprocess", word) for word in starting}
    }

    assert starters <= {"bootstrap", "process"}


@pytest.mark.parametrize("path", PROGRAMS, ids=relative)
def test_programs_of_the_image_import_what_is_shared_with_them_each_other_and_toolkits_only(path: Path) -> None:
    others = {module.split(".")[0] for module, _ in imports(path)} - set(sys.stdlib_module_names) - {"harness"}

    assert harness_modules(path) <= {*SHARED_WITH_THE_IMAGE, "image"}
    assert others <= TOOLKITS


@pytest.mark.parametrize("path", sorted((REPOSITORY / "mnist_job").rglob("*.py")), ids=relative)
def test_the_users_job_imports_nothing_of_ours(path: Path) -> None:
    assert harness_modules(path) == set()


@pytest.mark.parametrize("path", OURS, ids=relative)
def test_modules_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    too_long = {node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > 60}

    assert text.count("\n") <= 350
    assert too_long == set()


@pytest.mark.parametrize("path", sorted((REPOSITORY / "tests").rglob("*.py")), ids=relative)
def test_tests_patch_nothing_and_skip_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}

    assert not {module for module, _ in imports(path) if module.startswith(("unittest.mock", "mock"))}
    assert not (names | attributes) & {"MagicMock", "monkeypatch", "skipif", "xfail", "importorskip"}
