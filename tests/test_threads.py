"""Pools of threads end with their block, and hold nobody up who was asked to end."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from pipeline.stopping import Stopped, stoppable
from pipeline.storage.parallel import in_order
from pipeline.threads import threads


def test_the_end_of_the_block_waits_for_the_threads() -> None:
    done: list[str] = []
    with threads(2, "made") as pool:
        for _ in range(4):
            pool.submit(lambda: (time.sleep(0.05), done.append(threading.current_thread().name)))
    assert len(done) == 4
    assert all(name.startswith("made") for name in done)


def test_an_error_waits_too() -> None:
    done: list[int] = []

    def failing() -> None:
        with threads(1, "made") as pool:
            pool.submit(lambda: (time.sleep(0.2), done.append(1)))
            raise ZeroDivisionError("made up")

    with pytest.raises(ZeroDivisionError, match="made up"):
        failing()
    assert done == [1]


def test_after_a_signal_nobody_waits_and_what_was_not_begun_is_not() -> None:
    silent, begun, began = threading.Event(), [], time.monotonic()

    def request(number: int) -> None:
        begun.append(number)
        silent.wait(30)

    def signalled() -> None:
        with stoppable(), threads(1, "made") as pool:
            futures = [pool.submit(request, number) for number in range(3)]
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            futures[0].result()

    with pytest.raises(Stopped, match="by SIGTERM"):
        signalled()
    assert time.monotonic() - began < 5
    silent.set()
    assert begun == [0]


def test_each_thread_begins_with_what_is_asked_of_it() -> None:
    names: list[str] = []
    with threads(1, "made", first=lambda: names.append(threading.current_thread().name)) as pool:
        pool.submit(time.sleep, 0)
    assert names == ["made_0"]


def test_nor_does_anybody_wait_for_what_was_suspended_when_the_signal_came() -> None:
    silent, began = threading.Event(), time.monotonic()

    def look() -> None:
        items = in_order([lambda: [1], lambda: [silent.wait(30)]], workers=2)
        for _ in items:
            signal.raise_signal(signal.SIGTERM)

    def signalled() -> None:
        with stoppable():
            look()

    with pytest.raises(Stopped, match="by SIGTERM"):
        signalled()
    assert time.monotonic() - began < 5
    silent.set()
