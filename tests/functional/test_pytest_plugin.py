"""The pytest plugin as its users meet it: their tests run by a pytest of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

JOB = """
[training]
base_job_name = "mine"
entry_point = "train.py"
source_dir = "code"
instance_type = "ml.p2.xlarge"
instance_count = 2
hyperparameters = { epochs = 2, flag = true }
distribution = { mpi = { enabled = true } }
inputs = { training = "data" }
"""


@pytest.fixture
def place(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with a job file, its script and its data."""
    for path, text in {"job.toml": JOB, "code/train.py": "print('hello')", "data/a.txt": "a"}.items():
        file = pytester.path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return pytester


def test_a_function_of_the_users_sees_what_a_host_would_see(place: pytest.Pytester) -> None:
    place.makepyfile(
        """
        import json, os
        from pathlib import Path

        def train():  # the user's own
            text = Path(os.environ["SM_CHANNEL_TRAINING"], "a.txt").read_text()
            Path(os.environ["SM_MODEL_DIR"], "model").write_text(text * int(os.environ["SM_HP_EPOCHS"]))

        def test_train(sagemaker_env):
            env = sagemaker_env(hyperparameters={"epochs": 2}, channels={"training": "data"}, hosts=2,
                                current_host="algo-2")
            train()
            assert (env.model_dir / "model").read_text() == "aa"
            assert json.loads(os.environ["SM_HOSTS"]) == ["algo-1", "algo-2"]
            assert os.environ["SM_CURRENT_HOST"] == "algo-2"
            assert env.arguments == ("--epochs", "2")
            assert json.loads((env.folder / "input/config/resourceconfig.json").read_text())["current_host"] == "algo-2"

        def test_nothing_of_it_is_left_afterwards():
            assert "SM_MODEL_DIR" not in os.environ
            assert Path("data/a.txt").read_text() == "a"
        """
    )

    place.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_the_contract_of_a_job_is_read_without_docker(place: pytest.Pytester) -> None:
    place.makepyfile(
        """
        import pytest

        def test_contract(contract):
            job = contract("job.toml")
            assert [host.name for host in job.hosts] == ["algo-1", "algo-2"]
            assert job.leader == "algo-1"
            assert job.host("algo-2").files["resourceconfig.json"]["current_host"] == "algo-2"
            assert job.host("algo-2").variables["SM_HP_EPOCHS"] == "2"
            assert job.host("algo-2").arguments == ("--epochs", "2", "--flag", "True")
            assert job.host("algo-1").environment["TRAINING_JOB_NAME"]
            assert job.request["ResourceConfig"]["InstanceCount"] == 2

        @pytest.mark.multihost(4)
        def test_marker(contract):
            assert len(contract("job.toml").hosts) == 4
            assert len(contract("job.toml", hosts=3).hosts) == 3

        def test_bad_input(contract):
            from harness.errors import BadInput
            with pytest.raises(BadInput, match="no such job file"):
                contract("other.toml")
        """
    )

    place.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_hosts_may_be_counted_on_the_command_line(place: pytest.Pytester) -> None:
    place.makepyfile("def test_hosts(contract): assert len(contract('job.toml').hosts) == 5")

    place.runpytest_subprocess("--harness-hosts", "5").assert_outcomes(passed=1)


@pytest.mark.parametrize("count", ["0", "9", "two"])
def test_a_number_of_hosts_that_cannot_be_is_refused(place: pytest.Pytester, count: str) -> None:
    refused = place.runpytest_subprocess("--harness-hosts", count)

    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines([f"*'{count}' is not a whole number from 1 to 8*"])


def test_a_marker_that_counts_wrong_is_an_error_and_says_so(place: pytest.Pytester) -> None:
    place.makepyfile(
        """
        import pytest

        @pytest.mark.multihost("many")
        def test_marker(contract): ...
        """
    )

    ran = place.runpytest_subprocess()

    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*multihost takes a whole number from 1 to 8, not ('many',)*"])


def test_collecting_imports_nothing_heavy(place: pytest.Pytester) -> None:
    place.makepyfile("def test_nothing(training): ...")
    place.makeconftest(
        """
        import sys

        def pytest_sessionfinish():
            heavy = {"docker", "boto3", "botocore", "yaml", "numpy", "harness.cluster"}
            print("heavy:", sorted(heavy & {*sys.modules}))
        """
    )

    place.runpytest_subprocess("--collect-only").stdout.fnmatch_lines(["*heavy: []*"])


def test_without_an_engine_a_fixture_is_an_error_with_the_cause_and_never_a_skip(place: pytest.Pytester) -> None:
    place.makepyfile("def test_hosts(cluster): cluster(2)")
    place.makeconftest("import os; os.environ['DOCKER_HOST'] = 'tcp://127.0.0.1:9'")

    ran = place.runpytest_subprocess()

    assert ran.parseoutcomes().get("skipped") is None
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    ran.stdout.fnmatch_lines(["*EngineUnavailable: *DOCKER_HOST=tcp://127.0.0.1:9*"])


def test_every_fixture_says_what_it_is_for(place: pytest.Pytester) -> None:
    listed = place.runpytest_subprocess("--fixtures").stdout.str()

    for name in ("training", "cluster", "endpoint", "sagemaker_env", "contract"):
        assert f"\n{name} -- " in listed


def test_the_plugin_is_part_of_the_package(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("harness")
    assert Path(pytestconfig.pluginmanager.get_plugin("harness").__file__).name == "pytest_plugin.py"


def test_without_an_engine_a_test_fails_with_the_cause(place: pytest.Pytester) -> None:
    place.makepyfile(
        """
        import os

        os.environ["DOCKER_HOST"] = "unix:///nowhere.sock"

        def test_train(training):
            training("job.toml")
        """
    )

    result = place.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*EngineUnavailable: no docker engine answers at DOCKER_HOST=unix:///nowhere.sock*"])


@pytest.mark.parametrize(("option", "warm"), [((), True), (("--harness-cold",), False), (("--harness-retain",), False)])
def test_hosts_are_made_beforehand_unless_told_otherwise(
    place: pytest.Pytester, option: tuple[str, ...], warm: bool
) -> None:
    place.makepyfile(f"def test_it(harness_warm_hosts): assert harness_warm_hosts.beforehand is {warm}")

    place.runpytest_subprocess("-p", "no:cacheprovider", *option).assert_outcomes(passed=1)


COUNTS = """
import pytest
from harness.pytest_plugin import STARTED

@pytest.fixture(scope="session", autouse=True)
def hosts_of_other_tests(request):
    yield
    request.config.stash[STARTED] = [(3, 1)]

@pytest.mark.parametrize("turn", range(4))
def test_it(turn): pass
"""


@pytest.mark.parametrize(
    ("processes", "line"),
    [("0", "harness: 3 hosts started, 1 job on warm hosts"), ("2", "harness: 6 hosts started, 2 jobs on warm hosts")],
)
def test_the_hosts_of_a_session_are_counted_over_all_of_its_processes(
    place: pytest.Pytester, processes: str, line: str
) -> None:
    place.makepyfile(COUNTS)

    ran = place.runpytest_subprocess("-p", "no:cacheprovider", "-n", processes)

    ran.assert_outcomes(passed=4)
    ran.stdout.fnmatch_lines([line])


def test_a_session_without_hosts_says_nothing_of_them(place: pytest.Pytester) -> None:
    place.makepyfile("def test_it(harness_warm_hosts): pass")

    ran = place.runpytest_subprocess("-p", "no:cacheprovider")

    ran.stdout.no_fnmatch_line("harness:*")
