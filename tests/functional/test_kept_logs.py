"""Logs that outlive the door: all of them, each line once, and none that the user has deleted."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.kept_logs import KeptLogs
from harness.moto_objects import put_old_log_events
from tests.functional.conftest import LocalDoor

GROUP, STREAM = "/aws/sagemaker/Endpoints/e", "AllTraffic/i-1"
NOW = int(time.time() * 1000)


def kept(folder: Path) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """What a door would find that starts now."""
    return {(group, stream): events for group, stream, events in KeptLogs(folder).restore()}


def test_the_next_door_has_the_lines_of_every_stream(tmp_path: Path) -> None:
    logs = KeptLogs(tmp_path)
    logs.add(GROUP, STREAM, [(NOW, "one"), (NOW + 1, "zwei ☃\n")])
    logs.add(GROUP, "other/../i-2", [(NOW, "")])
    logs.add(GROUP, "empty", [])
    logs.add(GROUP, STREAM, [(NOW + 2, "three")])

    assert kept(tmp_path) == {
        (GROUP, STREAM): [(NOW, "one"), (NOW + 1, "zwei ☃\n"), (NOW + 2, "three")],
        (GROUP, "other/../i-2"): [(NOW, "")],
        (GROUP, "empty"): [],
    }
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("cut", range(1, 30, 3))
def test_a_line_that_the_door_was_about_to_write_is_as_if_it_had_not_been(tmp_path: Path, cut: int) -> None:
    KeptLogs(tmp_path).add(GROUP, STREAM, [(NOW, "one"), (NOW + 1, "two")])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-cut])

    logs = KeptLogs(tmp_path)
    restored = [events for _, _, events in logs.restore()]
    logs.add(GROUP, STREAM, [(NOW, "one"), (NOW + 1, "two")])

    assert restored in ([[]], [[(NOW, "one")]])
    assert kept(tmp_path) == {(GROUP, STREAM): [(NOW, "one"), (NOW + 1, "two")]}


@given(events=st.lists(st.tuples(st.integers(1, 3), st.sampled_from("ab")), max_size=12), until=st.integers(0, 12))
def test_a_log_that_is_read_again_from_its_beginning_is_kept_once(events: list[tuple[int, str]], until: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        KeptLogs(Path(folder)).add(GROUP, STREAM, events[:until])
        logs = KeptLogs(Path(folder))
        restored = [event for _, _, found in logs.restore() for event in found]

        new = logs.add(GROUP, STREAM, events)

        assert restored == events[:until]
        assert new == events[until:]
        assert kept(Path(folder)) == {(GROUP, STREAM): events}


def test_what_is_shipped_is_kept_until_the_user_deletes_it(local_door: LocalDoor) -> None:
    logs, services = local_door.client("logs"), local_door.services
    group, old = f"{GROUP}-{NOW}", NOW - 40 * 24 * 3600 * 1000
    for stream in ("one", "two"):
        services.put_log_events(group, stream, [(NOW, f"line of {stream}"), (NOW, f"line of {stream}")])

    found = logs.get_log_events(logGroupName=group, logStreamName="one")["events"]
    assert [each["message"] for each in found] == ["line of one", "line of one"]
    assert len(kept(services.kept_logs.folder)[group, "one"]) == 2
    logs.delete_log_stream(logGroupName=group, logStreamName="one")
    assert {name for of, name in kept(services.kept_logs.folder) if of == group} == {"two"}
    logs.delete_log_group(logGroupName=group)
    assert [of for of, _ in kept(services.kept_logs.folder) if of == group] == []

    services.make_log_stream(group, "old")
    put_old_log_events(group, "old", [{"timestamp": old, "message": "forty days ago"}])
    found = logs.get_log_events(logGroupName=group, logStreamName="old", startFromHead=True)["events"]
    assert [each["message"] for each in found] == ["forty days ago"]
