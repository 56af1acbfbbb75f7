"""The life of a job: every path that the story takes, and no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from harness import status
from harness.record import json_text
from harness.status import History, IllegalMove, read_history

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ALL = list(status.MESSAGES)
COMPLETED = ["Starting", "Downloading", "Training", "Uploading", "Completed"]
INTERRUPTED = ["Starting", "Downloading", "Training", "Interrupted"]
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
    ["Starting", "Downloading", "Training", "Stopping", "MaxWaitTimeExceeded"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "MaxRuntimeExceeded"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "MaxWaitTimeExceeded"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Failed"],
    ["Starting", "Downloading", "Training", "Uploading", "Stopping", "Stopped"],
    ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopping", "Stopped"],
    [*INTERRUPTED, *COMPLETED],
    [*INTERRUPTED, *INTERRUPTED, "Starting", "Stopping", "Stopped"],
    [*INTERRUPTED, "Stopped"],
    [*INTERRUPTED, "MaxWaitTimeExceeded"],
    [*INTERRUPTED, "Failed"],
]
ENDINGS = {
    "Completed": "Completed",
    "Failed": "Failed",
    "Stopped": "Stopped",
    "MaxRuntimeExceeded": "Stopped",
    "MaxWaitTimeExceeded": "Stopped",
}


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
    assert history.is_over
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


@pytest.mark.parametrize("ending", ["Completed", "Uploading", *sorted(set(ENDINGS) - {"Completed", "Failed"})])
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
        "Starting the training job",
        "Downloading input data",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (["Starting"], "Preparing the instances for training"),
        (["Starting", "Downloading"], "Downloading the training image"),
    ],
)
def test_a_message_changes_in_place_and_that_is_a_modification(path: list[str], message: str) -> None:
    before, later = walk(path), START + timedelta(seconds=99)

    after = before.progress(later)

    assert after.described() == [*before.described()[:-1], {**before.described()[-1], "StatusMessage": message}]
    assert after.modified == later
    with pytest.raises(IllegalMove, match="has no further message"):
        after.progress(later)


@pytest.mark.parametrize("path", [[], COMPLETED[:3], COMPLETED])
def test_a_status_of_one_message_keeps_it(path: list[str]) -> None:
    with pytest.raises(IllegalMove, match="has no further message"):
        walk(path).progress(START)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([], "InProgress"),
        (["Starting"], "InProgress"),
        (["Starting", "Downloading", "Training"], "InProgress"),
        (["Starting", "Downloading", "Training", "Uploading"], "InProgress"),
        (INTERRUPTED, "InProgress"),
        (["Starting", "Stopping"], "Stopping"),
    ],
)
def test_the_job_is_in_progress_or_stopping_until_it_ends(path: list[str], expected: str) -> None:
    assert walk(path).training_job_status == expected
    assert not walk(path).is_over


def test_times_of_a_status_are_known_by_its_name() -> None:
    history = walk(COMPLETED)

    assert history.started("Training") == START + timedelta(seconds=2)
    assert history.ended("Training") == START + timedelta(seconds=3)
    assert history.started("Stopping") is None
    assert history.ended("Stopping") is None


@pytest.mark.parametrize("path", [[], *PATHS], ids=">".join)
def test_a_history_is_read_back_from_what_it_has_left_in_a_file(path: list[str]) -> None:
    history = walk(path)

    assert read_history(history.described()) == history
    assert read_history(json.loads(json_text(history.described()))) == history


class Life(RuleBasedStateMachine):
    """Any walk along legal moves, with illegal ones tried on the way, leaves a record that holds together."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.now = START

    def later(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    @precondition(lambda self: not self.history.is_over)
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        following = sorted(status.MOVES[self.history.secondary_status])
        self.history = self.history.move(data.draw(st.sampled_from(following)), self.later())

    @rule(name=st.sampled_from(ALL))
    def try_anything(self, name: str) -> None:
        if name in status.MOVES.get(self.history.secondary_status, frozenset()):
            return
        with pytest.raises(IllegalMove):
            self.history.move(name, self.now)

    @rule()
    def progress(self) -> None:
        try:
            self.history = self.history.progress(self.later())
        except IllegalMove:
            assert self.history.secondary_status not in ("Starting", "Downloading") or self.history.transitions[
                -1
            ].message.startswith(("Preparing", "Downloading the"))

    @invariant()
    def entries_follow_each_other_without_a_gap(self) -> None:
        for before, after in pairwise(self.history.transitions):
            assert before.end == after.start

    @invariant()
    def only_a_job_that_is_over_has_an_end(self) -> None:
        if self.history.transitions:
            assert (self.history.transitions[-1].end is not None) is self.history.is_over
            assert (self.history.training_job_status in ("Completed", "Failed", "Stopped")) is self.history.is_over

    @invariant()
    def a_completed_job_has_trained_and_uploaded(self) -> None:
        if self.history.secondary_status == "Completed":
            assert [t.status for t in self.history.transitions][-3:-1] == ["Training", "Uploading"]


TestLife = Life.TestCase
