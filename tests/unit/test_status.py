"""The life of a job: every path that the story takes, and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from harness import status
from harness.status import History, IllegalMove

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALL = list(status.MESSAGES)
COMPLETED = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
PATHS = [
    COMPLETED,
    ["Starting", "Failed"],
    ["Starting", "Downloading", "Failed"],
    ["Starting", "Downloading", "Training", "Failed"],
    ["Starting", "Downloading", "Training", "Uploading", "Failed"],
    ["Starting", "Stopping", "Stopped"],
    ["Starting", "Stopping", "Failed"],
    ["Starting", "Downloading", "Stopping", "Stopped"],
    ["Starting", "Downloading", "Training", "Stopping", "MaxRuntimeExceeded"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "MaxRuntimeExceeded"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Failed"],
    ["Starting", "Downloading", "Training", "Uploading", "Stopping", "Stopped"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopping", "Stopped"],
]
ENDINGS = {"Completed": "Completed", "Failed": "Failed", "Stopped": "Stopped", "MaxRuntimeExceeded": "Stopped"}


def walk(path: list[str]) -> History:
    """One second in each status."""
    history = History()
    for number, name in enumerate(path):
        history = history.move(name, START + timedelta(seconds=number))
    return history


@pytest.mark.parametrize("path", PATHS, ids=">".join)
def test_a_path_of_the_story_can_be_walked_to_its_end(path: list[str]) -> None:
    history = walk(path)

    assert history.secondary_status == path[-1]
    assert history.training_job_status == ENDINGS[path[-1]]
    assert [entry["Status"] for entry in history.described()] == path


@pytest.mark.parametrize("path", [(), *sorted({tuple(p[: n + 1]) for p in PATHS for n in range(len(p))})], ids=">".join)
def test_any_other_move_raises_and_changes_nothing(path: tuple[str, ...]) -> None:
    history = walk(list(path))
    legal = {after for p in PATHS for before, after in pairwise(["", *p]) if before == (path[-1] if path else "")}
    before = history.described()

    for name in set(ALL) - legal:
        with pytest.raises(IllegalMove, match=name):
            history.move(name, START)

    assert history.described() == before


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("after", ALL)
def test_nothing_follows_an_ending(ending: str, after: str) -> None:
    ended = walk(next(path for path in PATHS if path[-1] == ending))

    with pytest.raises(IllegalMove):
        ended.move(after, START)


@pytest.mark.parametrize("ending", ["Completed", "Uploading", "Stopped", "MaxRuntimeExceeded"])
def test_a_job_that_has_not_trained_can_neither_upload_nor_complete(ending: str) -> None:
    for path in ([], ["Starting"], ["Starting", "Downloading"]):
        with pytest.raises(IllegalMove):
            walk(path).move(ending, START)


def test_a_transition_ends_when_the_next_begins_and_the_last_one_as_it_starts() -> None:
    entries = walk(COMPLETED).described()

    assert [entry["StartTime"] for entry in entries] == [START + timedelta(seconds=n) for n in range(5)]
    assert [entry["EndTime"] for entry in entries] == [START + timedelta(seconds=n) for n in (1, 2, 3, 4, 4)]


def test_a_running_transition_has_no_end() -> None:
    assert "EndTime" not in walk(["Starting", "Downloading"]).described()[-1]


def test_messages_are_those_of_real_jobs() -> None:
    assert [entry["StatusMessage"] for entry in walk(COMPLETED).described()] == [
        "Preparing the instances for training",
        "Downloading input data",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([], "InProgress"),
        (["Starting"], "InProgress"),
        (["Starting", "Downloading", "Training"], "InProgress"),
        (["Starting", "Downloading", "Training", "Uploading"], "InProgress"),
        (["Starting", "Stopping"], "Stopping"),
    ],
)
def test_the_job_is_in_progress_or_stopping_until_it_ends(path: list[str], expected: str) -> None:
    assert walk(path).training_job_status == expected


def test_times_of_a_status_are_known_by_its_name() -> None:
    history = walk(COMPLETED)

    assert history.started("Training") == START + timedelta(seconds=2)
    assert history.ended("Training") == START + timedelta(seconds=3)
    assert history.started("Stopping") is None
    assert history.ended("Stopping") is None
