"""Whatever a generator hangs in, the one who waits for it does not."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Generator

import pytest

from pipeline.engine import watchdog
from pipeline.engine.watchdog import Looks, Lost, Stalled, watched


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "TICK", 0.01)
    monkeypatch.setattr(watchdog, "PATIENCE", 0.5)


def hanging(until: threading.Event) -> Generator[int]:
    yield 1
    until.wait(30)


def test_items_come_in_order_and_end() -> None:
    asked: list[str] = []
    items = watched((n for n in range(9)), stall=9, signs=lambda: 0, end=lambda: asked.append("end"))
    assert list(items) == list(range(9))
    assert asked == []


def test_an_error_is_that_of_the_generator() -> None:
    def failing() -> Generator[int]:
        yield 1
        raise ZeroDivisionError("made up")

    items = watched(failing(), stall=9, signs=lambda: 0, end=lambda: None)
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError, match="made up"):
        next(items)


def test_one_that_hangs_is_told_to_end_and_does() -> None:
    ended = threading.Event()
    items = watched(hanging(ended), stall=0.1, signs=lambda: 0, end=ended.set)
    assert next(items) == 1
    with pytest.raises(Stalled):
        next(items)
    assert ended.is_set()


def test_one_that_has_lost_what_it_needs_is_not_waited_for() -> None:
    asked, never = threading.Event(), threading.Event()

    def idle(seconds: float) -> None:
        raise Lost("made up")

    items = watched(hanging(never), stall=9, signs=lambda: 0, end=asked.set, idle=idle)
    assert next(items) == 1
    with pytest.raises(Lost, match="made up"):
        next(items)
    assert not asked.is_set()
    never.set()


def test_one_that_does_not_end_is_left_alone_and_so_is_an_end_that_hangs() -> None:
    never = threading.Event()
    items = watched(hanging(never), stall=0.1, signs=lambda: 0, end=lambda: never.wait(30) and None)
    next(items)
    begin = time.monotonic()
    with pytest.raises(Stalled):
        next(items)
    assert time.monotonic() - begin < 5
    never.set()


def test_signs_of_life_are_waited_for() -> None:
    def late() -> Generator[int]:
        time.sleep(0.5)
        yield 1

    count = itertools.count()
    assert list(watched(late(), stall=0.1, signs=lambda: next(count), end=lambda: None)) == [1]
    with pytest.raises(Stalled):
        list(watched(late(), stall=0.1, signs=lambda: "the same", end=lambda: None))


def test_the_time_in_which_the_consumer_works_is_no_stall() -> None:
    def slow() -> Generator[int]:
        for number in range(3):
            time.sleep(0.05)
            yield number

    taken = []
    for number in watched(slow(), stall=0.4, signs=lambda: 0, end=lambda: None):
        time.sleep(0.6)
        taken.append(number)
    assert taken == [0, 1, 2]


def test_who_takes_no_more_ends_it() -> None:
    ended = threading.Event()
    items = watched(hanging(ended), stall=9, signs=lambda: 0, end=ended.set)
    next(items)
    items.close()
    assert ended.is_set()


def test_idle_time_is_told() -> None:
    told: list[float] = []
    ended = threading.Event()
    with pytest.raises(Stalled):
        list(watched(hanging(ended), stall=0.2, signs=lambda: 0, end=ended.set, idle=told.append))
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] < 0.3


def test_a_look_that_hangs_or_fails_holds_up_nobody() -> None:
    count = itertools.count()

    def look() -> int:
        number = next(count)
        if number == 1:
            raise ConnectionError("no answer")
        if number == 3:
            time.sleep(30)
        return number

    looks = Looks(look, every=0.01)
    time.sleep(0.3)
    assert looks.seen == 2
    looks.end()
