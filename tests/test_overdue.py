"""Work that comes back in time is left alone, however long it takes in all."""

from __future__ import annotations

import threading
import time

import pytest

from pipeline import overdue
from pipeline.overdue import beside, bounded, moved, unmoved, watched, within


def test_work_that_goes_on_is_never_overdue() -> None:
    late: list[str] = []
    with watched(0.5, lambda: late.append("late")) as beat:
        for _ in range(8):
            time.sleep(0.1)
            beat()
    time.sleep(0.6)
    assert late == []


def test_work_that_stands_still_is_overdue_once() -> None:
    late, over = [], threading.Event()
    with watched(0.1, lambda: (late.append(threading.current_thread().name), over.set())) as beat:
        beat()
        assert over.wait(20)
    assert late == ["overdue"]


def test_a_beat_that_comes_late_arms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []
    monkeypatch.setattr(overdue.faulthandler, "dump_traceback_later", lambda seconds, **_: armed.append(seconds))
    with watched(30.0, lambda: None) as beat:
        assert len(armed) == 1
    beat()
    assert len(armed) == 1


def test_what_moves_is_never_told_and_what_does_not_once() -> None:
    late: list[str] = []
    with unmoved(0.5, lambda: late.append("late")):
        for _ in range(8):
            time.sleep(0.1)
            moved()
    assert late == []
    over = threading.Event()
    with unmoved(0.2, lambda: (late.append("late"), over.set())):
        assert over.wait(20)
        time.sleep(0.5)
    assert late == ["late"]


def test_what_a_thread_does_by_the_clock_is_no_movement() -> None:
    over, ended = threading.Event(), threading.Event()

    def beat() -> None:
        with beside():
            while not ended.wait(0.05):
                moved()

    thread = threading.Thread(target=beat)
    thread.start()
    with unmoved(0.5, over.set):
        assert over.wait(20)
    ended.set()
    thread.join()
    with beside():
        pass
    before = overdue._last_step
    moved()
    assert overdue._last_step != before


def test_what_has_bounds_of_its_own_is_never_told_and_what_follows_is() -> None:
    late, over = [], threading.Event()
    with unmoved(0.2, lambda: (late.append("late"), over.set())):
        with bounded():
            time.sleep(0.8)
        assert late == []
        assert over.wait(20)


def test_nobody_waits_longer_than_is_said_and_what_fails_is_over() -> None:
    never, began = threading.Event(), time.monotonic()
    assert not within(0.2, lambda: never.wait(30))
    assert time.monotonic() - began < 5
    never.set()
    assert within(20, lambda: 1 / 0)
