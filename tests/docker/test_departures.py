"""Where the SageMaker SDK's local mode departs from the platform, and the harness must not: docs/departures.toml.

Only what no other test shows by the way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import pytest

from harness import labels
from harness.expectations import assert_completed, assert_failed, assert_model_has, assert_wrote_model
from harness.results import JobResult
from tests.docker.conftest import HARNESS, Training, Workplace, started
from tests.ran import Ran

HOSTS = ("algo-1", "algo-2", "algo-3")
SYSTEM_FILE = Path("/etc/os-release")
KEYS = {"AWS_ACCESS_KEY_ID": "mine", "AWS_SECRET_ACCESS_KEY": "mine too", "AWS_SESSION_TOKEN": "and this"}
NO_REGION = {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": "/nonexistent"}
LOOK = """
    import json, os, socket, time

    HOSTS, OWN, PORT = json.loads(os.environ["SM_HOSTS"]), os.environ["SM_CURRENT_HOST"], 7000

    def insist(action):
        while True:  # a name resolves, and a host listens, once it has started, here and in the cloud
            try:
                return action()
            except OSError:
                time.sleep(0.1)

    print("SEEN " + json.dumps({
        "resolved": {host: insist(lambda: socket.gethostbyname(host)) for host in HOSTS},
        "own": socket.gethostbyname(OWN),
        "hostname": socket.gethostname(),
        "interface": os.environ["SM_NETWORK_INTERFACE_NAME"],
        "interfaces": os.listdir("/sys/class/net"),
        "environment": dict(os.environ),
        "data": open(os.path.join(os.environ["SM_CHANNEL_SYSTEM"], "os-release")).read(),
    }), flush=True)
    listening = socket.create_server(("", PORT), backlog=len(HOSTS))  # all stay until they have all looked
    calls = [insist(lambda: socket.create_connection((host, PORT))) for host in HOSTS]
    answers = [listening.accept() for host in HOSTS]
"""
Seen = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the script of each host saw, in a job of three that was started with keys and without a region."""
    workplace = Workplace(tmp_path_factory.mktemp("seen"))
    job = workplace.job(LOOK, table=f'inputs = {{ system = "{SYSTEM_FILE}" }}\n', instance_count=len(HOSTS))
    ran = workplace.harness("train", str(job), env=KEYS | NO_REGION)
    assert ran.exit_code == 0, ran
    return {host: json.loads(workplace.log(host).split("SEEN ")[1].splitlines()[0]) for host in HOSTS}


def test_every_host_finds_every_host_by_its_name_of_the_cluster(seen: Seen) -> None:
    addresses = {host: seen[host]["own"] for host in HOSTS}

    assert len(set(addresses.values())) == len(HOSTS)
    assert [seen[host]["resolved"] for host in HOSTS] == [addresses] * len(HOSTS)
    assert [seen[host]["hostname"] for host in HOSTS] == list(HOSTS)


def test_the_network_interface_that_hosts_are_told_is_there(seen: Seen) -> None:
    assert [host for host in HOSTS if seen[host]["interface"] not in seen[host]["interfaces"]] == []


def test_no_region_is_needed_and_no_keys_reach_the_hosts(seen: Seen) -> None:
    for host in HOSTS:
        assert set(KEYS) & set(seen[host]["environment"]) == set()
        assert set(KEYS.values()) & set(seen[host]["environment"].values()) == set()


def test_data_may_be_anywhere(seen: Seen) -> None:
    assert seen["algo-2"]["data"] == SYSTEM_FILE.read_text()


def test_a_host_that_leaves_early_with_0_does_not_end_the_job(training: Training, workplace: Workplace) -> None:
    job = workplace.job(
        """
        import os, time
        if os.environ["SM_CURRENT_HOST"] == "algo-1":
            time.sleep(2)  # algo-2 has left by now
            open("/opt/ml/model/late", "w").write("x")
        """
    )

    result = training(job).wait()

    assert_completed(result)
    assert_wrote_model(result, "algo-1")
    assert_model_has(result, "late")


def test_a_host_never_sees_what_another_writes_to_its_model_folder(training: Training, workplace: Workplace) -> None:
    # Whichever host looks last would see what the other wrote.
    job = workplace.job(
        """
        import os
        host = os.environ["SM_CURRENT_HOST"]
        open("/opt/ml/model/" + host, "w").write("x")
        assert os.listdir("/opt/ml/model") == [host], os.listdir("/opt/ml/model")
        """
    )

    result = training(job).wait()

    assert_completed(result)
    assert set(result.model.members) == {"algo-1", "algo-2"}


def test_an_archive_holds_nothing_of_an_earlier_job(training: Training, workplace: Workplace) -> None:
    script = "open('/opt/ml/model/{name}', 'w').write('x'); open('/opt/ml/output/failure', 'w').write('{name}'); {then}"

    def ended(name: str, then: str) -> JobResult:
        return training(workplace.job(script.format(name=name, then=then), instance_count=1)).wait()

    failed, worked = ended("old", then="raise SystemExit(1)"), ended("new", then="pass")

    assert_failed(failed, because="old")
    assert_completed(worked)
    assert set(failed.model.members) == {"old"}
    assert set(worked.model.members) == {"new"}
    assert not worked.failure_reason
    assert list((workplace.folder / "runs").glob("*/output.tar.gz")) == []


def test_a_stopped_host_has_more_time_than_compose_gives(training: Training, workplace: Workplace) -> None:
    job = training(
        workplace.job(
            """
            import signal, sys, time

            def save(*_):
                time.sleep(11)  # compose kills after 10
                open("/opt/ml/model/saved", "w").write("x")
                sys.exit()

            signal.signal(signal.SIGTERM, save)
            print("sleeping", flush=True)
            time.sleep(600)
            """,
            instance_count=1,
        )
    )
    job.wait_for_log("sleeping").stop()

    result = job.wait()

    assert result.stopped, result
    assert_model_has(result, "saved")


@pytest.mark.parametrize("isolated", [True, False])
def test_an_isolated_job_has_no_way_out(workplace: Workplace, engine: docker.DockerClient, isolated: bool) -> None:
    # The engine is asked: scripts of older engines find a route either way, and another machine may be out of reach.
    script = "import time; print('up and running', flush=True); time.sleep(600)"
    job = workplace.job(script, table=f"enable_network_isolation = {str(isolated).lower()}\n", instance_count=1)

    with started(workplace, job, until="up and running") as running:
        name = (workplace.folder / "runs/latest").readlink().name
        (network,) = engine.networks.list(filters={"label": f"{labels.JOB}={name}"})
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)

    assert network.attrs["Internal"] is isolated


def test_two_jobs_run_side_by_side_and_leave_nothing(workplace: Workplace, left_over: Callable[[], list[str]]) -> None:
    job = workplace.job(
        """
        import os, time
        time.sleep(2)  # both jobs run by now
        open("/opt/ml/model/" + os.environ["TRAINING_JOB_NAME"], "w").write("x")
        """,
        instance_count=1,
    )

    running = [
        subprocess.Popen([HARNESS, "train", str(job)], cwd=workplace.folder, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]

    assert [process.wait(timeout=120) for process in running] == [0, 0]
    folders = [path for path in (workplace.folder / "runs").iterdir() if not path.is_symlink()]
    assert len(folders) == 2
    assert [list(JobResult(folder).model.members) for folder in folders] == [[folder.name] for folder in folders]
    assert left_over() == []


def test_a_run_talks_to_nobody_but_the_engine(workplace: Workplace) -> None:
    job = workplace.job("print('done')", instance_count=1)
    program = (
        "import sys; from harness.cli import main\n"
        "tell = lambda event, given: print('CONNECTED', repr(given[1]), file=sys.stderr)\n"
        "sys.addaudithook(lambda event, given: tell(event, given) if event == 'socket.connect' else None)\n"
        f"main(['train', {str(job)!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=workplace.folder, capture_output=True, text=True, timeout=120, check=False
    )

    ran = Ran(["harness", "train"], done.returncode, done.stdout, done.stderr)
    assert ran.exit_code == 0, ran
    connected = {line.removeprefix("CONNECTED ") for line in ran.stderr.splitlines() if line.startswith("CONNECTED")}
    engine = urlsplit(os.environ.get("DOCKER_HOST", ""))
    elsewhere = [to for to in connected if not to.startswith("'/") and str(engine.hostname) not in to]
    assert connected, ran
    assert elsewhere == []


def test_an_image_of_ones_own_finds_the_folders_that_the_platform_makes(
    training: Training, workplace: Workplace
) -> None:
    job = workplace.job("")
    job.write_text(
        """
        [training]
        base_job_name = "bare"
        image_uri = "debian:bookworm-slim"
        container_entry_point = ["/bin/sh", "-c"]
        container_arguments = ["cd /opt/ml && ls -d model output output/data input/data && echo x > model/$(hostname)"]
        instance_type = "ml.m5.large"
        instance_count = 2
        """
    )

    result = training(job).wait()

    assert_completed(result)
    assert set(result.model.members) == {"algo-1", "algo-2"}
