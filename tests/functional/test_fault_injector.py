"""Faults fire at their moments, once, and are undone; effects are recorded by a small real `Effects` of the test's."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.fault_effects import stall_engine
from harness.fault_injector import FaultInjector, Scene
from harness.faults import AfterLog, AfterSeconds, AtStatus, Fault, Interrupt, KillHost, Timed


class Done:
    """Stands where the engine is: keeps what is asked of it."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.undone: list[Fault] = []
        self.notes: list[str] = []
        self.interrupted = threading.Event()
        self.fired = threading.Event()

    def apply(self, fault: Fault) -> Callable[[], object]:
        if isinstance(fault, KillHost) and fault.host == "algo-9":
            raise HarnessError("no such host")
        self.faults.append(fault)
        self.fired.set()
        return lambda: self.undone.append(fault)

    def scene(self) -> Scene:
        effects: Any = self
        return Scene(effects, self.notes.append, self.interrupted.set)


KILL = KillHost("algo-2")


@pytest.fixture
def done() -> Done:
    return Done()


def injector(done: Done, *timed: Timed) -> FaultInjector:
    made = FaultInjector(timed)
    made.attach(done.scene())
    return made


def test_a_fault_waits_for_the_line_it_is_to_follow_and_fires_once(done: Done) -> None:
    faults = injector(done, Timed(KILL, AfterLog("epoch 1", "algo-1")))

    faults.lines("algo-2", ["epoch 1"])
    assert not done.fired.wait(0.1)
    faults.lines("algo-1", ["[0]<stdout>:epoch 1: done"])
    faults.lines("algo-1", ["epoch 1"])
    assert done.fired.wait(5)

    assert faults.close() == ()
    assert done.faults == done.undone == [KILL]
    assert done.notes == ["fault: kill algo-2 after 'epoch 1' on algo-1"]


def test_a_fault_fires_when_its_status_is_entered(done: Done) -> None:
    faults = injector(done, Timed(KILL, AtStatus("Uploading")))

    faults.status("Training")
    assert not done.fired.wait(0.1)
    faults.status("Uploading")

    assert done.fired.wait(5)
    faults.close()


def test_seconds_count_from_the_start_of_training(done: Done) -> None:
    faults = injector(done, Timed(KILL, AfterSeconds(0.2)))

    assert not done.fired.wait(0.4)
    faults.status("Training")

    assert done.fired.wait(5)
    faults.close()


@pytest.mark.parametrize("moment", [AfterLog("hello"), AtStatus("Training"), AfterSeconds(0.0)], ids=str)
def test_a_fault_that_is_added_late_fires_at_once(done: Done, moment: Any) -> None:
    faults = injector(done)
    faults.status("Training")
    faults.lines("algo-1", ["hello"])

    faults.add(Timed(KILL, moment))

    assert done.fired.wait(5)
    assert faults.close() == ()


def test_an_interruption_is_the_jobs_own_affair(done: Done) -> None:
    faults = injector(done, Timed(Interrupt(), AfterLog("x")))

    faults.lines("algo-1", ["x"])

    assert done.interrupted.wait(5)
    assert faults.close() == ()
    assert done.faults == []


def test_a_moment_that_never_came_is_told(done: Done) -> None:
    faults = injector(done, Timed(KILL, AfterLog("never")), Timed(KILL, AfterSeconds(60)))
    faults.status("Training")

    assert faults.close() == (
        "fault 'kill algo-2 after never': its moment never came",
        "fault 'kill algo-2 after 60s': its moment never came",
    )
    assert done.faults == []


def test_a_fault_that_cannot_be_done_is_told_and_does_not_stop_the_others(done: Done) -> None:
    faults = injector(done, Timed(KillHost("algo-9"), AfterLog("x")), Timed(KILL, AfterLog("x")))

    faults.lines("algo-1", ["x"])
    assert done.fired.wait(5)

    assert faults.close() == ("fault 'kill algo-9 after x': no such host",)


def test_a_stalled_engine_stands_still_and_goes_on_when_it_is_over(tmp_path: Path) -> None:
    """Done to a process that stands in for the engine, which is everybody's."""

    with subprocess.Popen(["sleep", "60"]) as engine:
        (tmp_path / "pid").write_text(f"{engine.pid}\n")
        undo = stall_engine(60, tmp_path / "pid")
        stood_still = os.waitid(os.P_PID, engine.pid, os.WSTOPPED)
        undo()
        went_on = os.waitid(os.P_PID, engine.pid, os.WCONTINUED)
        engine.kill()

    assert stood_still
    assert stood_still.si_status == signal.SIGSTOP
    assert went_on
    assert went_on.si_status == signal.SIGCONT


def test_an_engine_that_is_not_ours_to_stall_is_left_alone_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="the engine cannot be stalled from here"):
        stall_engine(1, tmp_path / "no-pid-file")
