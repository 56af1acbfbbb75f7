from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.compose_command import ensure_compose, find_compose, parse_version
from harness.errors import CommandFailed, EngineUnavailable
from harness.steps import Steps


def machine(**answers: str) -> tuple[Callable[[str], str | None], Callable[..., str]]:
    """A machine on which the commands named (`docker_compose` for the plugin) are there and answer so."""

    def which(name: str) -> str | None:
        return f"/usr/bin/{name}" if name.replace("-", "_") in answers or name in answers else None

    def runner(argv: Sequence[str], **_: object) -> str:
        if tuple(argv[:2]) == ("docker", "compose"):
            if "plugin" not in answers:
                raise CommandFailed(argv, "exit code 1", "docker: 'compose' is not a docker command.")
            return answers["plugin"]
        raise AssertionError(f"nobody was to run {argv}")

    return which, runner


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Docker Compose version v2.29.1", (2, 29, 1)),
        ("Docker Compose version 2.29.1", (2, 29, 1)),
        ("Docker Compose version v5.0.1", (5, 0, 1)),
        ("Docker Compose version v5.1.0-desktop.1", (5, 1, 0)),
        ("Docker Compose version v2.20.2-desktop.1", (2, 20, 2)),
        ("Docker Compose version 2.26.1-4", (2, 26, 1)),
        ("Docker Compose version 2.24.6+ds1-0ubuntu1~22.04.1", (2, 24, 6)),
        ("docker-compose version 1.29.2, build unknown", (1, 29, 2)),
        ("docker-compose version 1.29.2, build 5becea4c\ndocker-py version: 5.0.0", (1, 29, 2)),
        ("Docker Compose version dev", None),
        ("docker: 'compose' is not a docker command.\nSee 'docker --help'", None),
        ("Usage:  docker [OPTIONS] COMMAND\n  compose*  Docker Compose (Docker Inc., v2.29.1)", None),
        ("Client:\n Version: 28.2.2", None),
        ("", None),
    ],
)
def test_versions_are_read_from_what_real_releases_print(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_the_plugin_is_preferred() -> None:
    which, runner = machine(docker="", plugin="Docker Compose version v5.0.1", docker_compose="")

    assert find_compose(which, runner) == ("docker", "compose")


def test_without_the_plugin_the_program_is_found_and_not_run() -> None:
    which, runner = machine(docker="", docker_compose="")

    assert find_compose(which, runner) == ("docker-compose",)


def test_a_docker_that_prints_something_else_has_no_plugin() -> None:
    which, runner = machine(docker="", plugin="Usage: docker [OPTIONS] COMMAND", docker_compose="")

    assert find_compose(which, runner) == ("docker-compose",)


def test_neither_is_one_line_that_says_how_to_get_it() -> None:
    which, runner = machine(docker="")

    with pytest.raises(EngineUnavailable, match=r"no docker compose is installed; (run|install)") as caught:
        find_compose(which, runner)

    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("known", "installed"),
    [
        ({"docker-compose"}, "docker-compose"),
        ({"docker-compose", "docker-compose-v2"}, "docker-compose-v2"),
        ({"docker-compose", "docker-compose-plugin"}, "docker-compose-plugin"),
    ],
)
def test_when_missing_the_newest_package_that_apt_knows_is_installed(known: set[str], installed: str) -> None:
    programs: set[str] = set()

    def runner(argv: Sequence[str], **_: object) -> str:
        if argv[:2] == ("apt-cache", "policy"):
            return f"{argv[2]}:\n  Installed: (none)\n  Candidate: {'1.2-3' if argv[2] in known else '(none)'}\n"
        assert argv[:2] == ("apt-get", "install")
        assert argv[-1] == installed
        programs.add("docker-compose")
        return ""

    command = ensure_compose(Steps(), lambda name: name if name in programs else None, runner, can_install=lambda: True)

    assert command == ("docker-compose",)


def test_when_missing_and_not_ours_to_install_it_is_left_to_the_user() -> None:
    which, runner = machine(docker="")

    with pytest.raises(EngineUnavailable):
        ensure_compose(Steps(), which, runner, can_install=lambda: False)
