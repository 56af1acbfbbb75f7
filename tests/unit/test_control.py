"""Requests to a job reach it, whenever they are made and by whom."""

from __future__ import annotations

import threading

from harness.control import Control, Interrupt, Request, Stop


def test_requests_reach_whoever_listens_at_once() -> None:
    heard: list[Request] = []
    control = Control()
    control.listen(heard.append)

    control.stop()
    control.interrupt()
    control.stop(grace=0)

    assert heard == [Stop(), Interrupt(), Stop(0)]


def test_what_was_asked_before_anyone_listened_is_kept_and_told_once() -> None:
    first: list[Request] = []
    second: list[Request] = []
    control = Control()
    control.interrupt()
    control.stop()

    control.listen(first.append)
    control.listen(second.append)

    assert first == [Interrupt(), Stop()]
    assert second == []


def test_requests_of_many_threads_are_all_told() -> None:
    heard: list[Request] = []
    control = Control()
    threads = [threading.Thread(target=control.stop, args=(float(n),)) for n in range(50)]
    for number, thread in enumerate(threads):
        thread.start()
        if number == 25:
            control.listen(heard.append)
    for thread in threads:
        thread.join()

    assert sorted(request.grace or 0 for request in heard if isinstance(request, Stop)) == [float(n) for n in range(50)]
