"""Work that comes back in time is left alone, however long it takes in all."""

from __future__ import annotations

import threading
import time

from pipeline.overdue import watched


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
