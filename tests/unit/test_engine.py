from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.debian import is_debian
from harness.engine import Facts, decide, find_target, remove_stale_pid_file

BARE = Facts(chosen="", denied=False, root=True, debian=True, dockerd=False, systemd=False, system="Linux")


def test_root_on_a_bare_debian_installs_and_starts_one_in_the_background() -> None:
    remedy = decide(BARE)

    assert (remedy.install, remedy.start, remedy.advice) == (True, ("dockerd",), "")


def test_an_installed_one_is_only_started() -> None:
    assert decide(replace(BARE, dockerd=True)).install is False


def test_where_systemd_runs_it_does_the_starting() -> None:
    assert decide(replace(BARE, systemd=True)).start == ("systemctl", "start", "docker")


@pytest.mark.parametrize(
    ("facts", "advice"),
    [
        (replace(BARE, chosen="DOCKER_HOST=tcp://far:2375"), "start that engine, or unset DOCKER_HOST"),
        (replace(BARE, chosen="DOCKER_CONTEXT=desktop"), "start that engine, or unset DOCKER_CONTEXT"),
        (replace(BARE, denied=True, root=False), "run: sudo usermod -aG docker $USER && newgrp docker"),
        (replace(BARE, root=False), "run: sudo apt-get install -y docker.io && sudo service docker start"),
        (replace(BARE, root=False, dockerd=True, systemd=True), "run: sudo systemctl start docker"),
        (replace(BARE, debian=False), "install docker as https://docs.docker.com/engine/install/ says"),
    ],
)
def test_otherwise_the_user_is_told_the_command_and_nothing_is_started(facts: Facts, advice: str) -> None:
    remedy = decide(facts)

    assert (remedy.advice, remedy.install, remedy.start) == (advice, False, ())


def test_on_a_mac_it_is_docker_desktop() -> None:
    assert "open -a Docker" in decide(replace(BARE, system="Darwin", debian=False)).advice


def test_docker_host_goes_before_the_context() -> None:
    target = find_target({"DOCKER_HOST": "tcp://far:2375", "DOCKER_CONTEXT": "other"})

    assert (target.url, target.chosen) == ("tcp://far:2375", "DOCKER_HOST=tcp://far:2375")


def test_the_default_context_is_the_default_socket_and_nobody_has_chosen_it() -> None:
    target = find_target({"DOCKER_CONTEXT": "default"})

    assert (target.url, target.chosen) == ("unix:///var/run/docker.sock", "")


@pytest.mark.parametrize(
    ("os_release", "answer"),
    [
        ("ID=debian\nVERSION_ID=12\n", True),
        ('ID=ubuntu\nID_LIKE=debian\nNAME="Ubuntu"\n', True),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"\n', True),
        ('ID="fedora"\n', False),
        ('NAME="not debian"\nID=arch\n', False),
        ("", False),
    ],
)
def test_debian_and_its_children_are_told_by_os_release(os_release: str, answer: bool) -> None:
    assert is_debian(os_release) is answer


@pytest.mark.parametrize(("owner", "stays"), [(None, False), ("bash\n", False), ("dockerd\n", True)])
def test_a_pid_file_stays_only_when_its_number_is_that_of_an_engine(
    tmp_path: Path, owner: str | None, stays: bool
) -> None:
    pid_file, proc = tmp_path / "docker.pid", tmp_path / "proc"
    pid_file.write_text("4711\n")
    if owner is not None:
        (proc / "4711").mkdir(parents=True)
        (proc / "4711" / "comm").write_text(owner)

    remove_stale_pid_file(pid_file, proc)

    assert pid_file.exists() is stays
