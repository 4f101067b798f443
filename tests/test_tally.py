"""Counting receipts."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.fed import Fed
from pipeline.receipts import Receipt, Timings
from pipeline.tally import Tally


class Clock:
    """Time that only the test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tally(clock):
    return Tally(recordings=10, audio_seconds=1000.0, workers={"read": 1, "model": 2}, clock=clock)


def receipt(unit, *, rows=1, seconds=100.0, **more):
    return Receipt(unit, "committed", rows=rows, audio_seconds=seconds, **more)


def test_speed_and_eta_are_those_of_the_last_minute(tally, clock):
    clock.now = 110.0
    tally.record(receipt("a"))
    clock.now = 300.0
    tally.record(receipt("b", seconds=300.0))
    assert tally.speed == pytest.approx(300 / 60)
    assert tally.eta == pytest.approx((1000 - 400) / 5)
    assert tally.first_commit == pytest.approx(10.0)


def test_before_the_first_unit_nothing_is_claimed(tally):
    assert tally.eta is None
    assert tally.slowest is None
    assert tally.first_commit is None


def test_a_fault_is_no_row(tally):
    tally.record(Receipt("a", "fault", fault="model: broke"))
    assert (tally.done, tally.units, tally.faults) == (0, 0, {"a": "model: broke"})


def test_a_unit_of_several_tasks_is_one_unit_with_rows_and_errors_of_each(tally):
    tally.record(receipt("a", task="words", rows=4, errors={"decode.empty": 1}))
    tally.record(receipt("a", task="labels", rows=4, seconds=0.0, errors={"decode.empty": 1, "model.not_finite": 1}))
    tally.record(receipt("b", task="words", rows=3))
    assert (tally.units, tally.done, tally.done_seconds) == (2, 11, 200.0)
    assert (tally.rows_of, tally.errors_of) == ({"words": 7, "labels": 4}, {"words": 1, "labels": 2})
    assert tally.first_audio == 100.0


def test_a_task_that_failed_leaves_the_others_of_its_unit_counted(tally):
    tally.record(Receipt("a", "fault", task="words", fault="words: broke"))
    tally.record(receipt("a", task="labels", rows=4))
    assert (tally.units, tally.done, tally.faults) == (1, 4, {"a": "words: broke"})


def test_no_fault_of_a_unit_hides_another(tally):
    tally.record(Receipt("a", "fault", task="words", fault="words: broke", fault_trace="one"))
    tally.record(Receipt("a", "fault", task="labels", fault="labels: 503", fault_trace="two"))
    tally.record(Receipt("b", "fault", fault="read: 503", fault_trace="three"))
    assert tally.faults == {"a": "words: broke; labels: 503", "b": "read: 503"}
    assert list(tally.traces.values()) == ["one", "two", "three"]


def test_context_and_padding_are_shares_of_all_frames_that_were_computed(tally):
    assert (tally.totals()["context_share"], tally.totals()["padding_share"]) == (0.0, 0.0)
    tally.record(receipt("a", fed=Fed(100, context=10)))
    tally.record(receipt("b", fed=Fed(300, context=20, padding=6)))
    said = tally.totals()
    assert said["frames_computed"] == 400
    assert (said["context_share"], said["padding_share"]) == pytest.approx((30 / 400, 6 / 400))


def test_the_slowest_stage_is_the_one_whose_workers_are_busiest(tally, clock):
    clock.now = 110.0
    tally.record(receipt("a", timings=Timings(seconds={"read": 6.0, "model": 8.0, "wait": 9.0})))
    assert tally.slowest == "read"
    assert tally.busy == pytest.approx({"read": 0.6, "model": 0.4})


def test_units_that_took_several_attempts_are_named_with_the_most_of_a_stage(tally):
    tally.record(receipt("a", timings=Timings(attempts={"read": 1, "features": 2, "model": 3})))
    tally.record(receipt("a", task="other", first=False))
    tally.record(receipt("b", timings=Timings(attempts={"read": 1, "model": 1})))
    tally.record(receipt("c", timings=Timings(attempts={"model": 5})))
    assert list(tally.totals()["attempts"].items()) == [("c", 5), ("a", 3)]


def test_errors_are_counted_by_reason_with_one_example(tally):
    tally.record(receipt("a", rows=4, errors={"decode.empty": 1}, examples={"decode.empty": "first"}))
    tally.record(receipt("b", rows=4, errors={"decode.empty": 1}, examples={"decode.empty": "second"}))
    assert tally.errors == {"decode.empty": 2}
    assert tally.examples == {"decode.empty": "first"}
    assert tally.error_share == pytest.approx(0.25)


def test_errors_of_rows_that_newer_ones_take_the_place_of_are_counted_apart(clock):
    tally = Tally(recordings=4, audio_seconds=1.0, workers={}, clock=clock, old={"words": {"a": {"c/old"}}})
    errors = {"errors": {"read.changed": 2}, "failed": {"read.changed": ["c/old", "c/new"]}}
    tally.record(receipt("a", task="words", rows=4, **errors, examples={"read.changed": "c/old: changed"}))
    assert (tally.errors, tally.superseded, tally.examples) == ({"read.changed": 1}, 1, {})
    tally.record(receipt("a", task="labels", rows=4, **errors, examples={"read.changed": "c/new: changed"}))
    assert (tally.errors, tally.superseded) == ({"read.changed": 3}, 1)
    assert tally.examples == {"read.changed": "c/new: changed"}
    assert tally.errors_of == {"words": 1, "labels": 2}
    assert tally.committed["words"]["a"].errors == 2  # what the file has


def test_another_thread_may_look_on_while_receipts_come() -> None:
    ticks = itertools.count()
    tally = Tally(recordings=1, audio_seconds=1.0, workers={}, clock=lambda: next(ticks) / 10)
    over = threading.Event()

    def look() -> int:
        looks = 0
        while not over.is_set():
            tally.speed  # noqa: B018
            looks += 1
        return looks

    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(look)
        for number in range(30_000):
            tally.record(Receipt(str(number), "committed", audio_seconds=1.0))
        over.set()
    assert looks.result() > 0


def test_what_is_heard_of_late_counts_once_and_moves_no_clock(tally, clock):
    tally.record(receipt("a", task="transcribe"))
    clock.now += 10
    tally.stop()
    assert tally.unheard("classify", ["a", "b"]) == ["a", "b"]
    tally.record_late(receipt("a", task="classify"))
    tally.record_late(receipt("b", task="classify", seconds=50.0))
    found = tally.totals()
    assert (found["rows"], found["units"], found["late"], found["audio_seconds"]) == (3, 2, 1, 150.0)
    assert (found["startup_seconds"], found["first_audio_seconds"]) == (0.0, 100.0)
    assert tally.unheard("classify", ["a", "b"]) == []
