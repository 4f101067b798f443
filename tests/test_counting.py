"""What a run counts while it goes on, so that the next one, after its death, reads next to nothing of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest

from pipeline import counting, overdue, plan
from pipeline.counting import Counting
from pipeline.outcome import Outcome, outcome, standing
from pipeline.receipts import Receipt
from pipeline.storage.fetch import read_range
from pipeline.table import committed, layout, read_known, rewrite
from pipeline.tally import Tally
from tests.table.conftest import Made, rows_of

TASK = "transcribe"


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "out").mkdir()
    found = Made(str(tmp_path / "out"))
    found.plan(*"abcdefgh")
    found.declare()
    return found


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "UNITS", 3)


class Driver:
    """A run that may be killed after any of its units."""

    def __init__(self, made: Made) -> None:
        self.made, self.now = made, 0.0
        self.tally = Tally(recordings=0, audio_seconds=0.0, workers={}, clock=lambda: self.now)
        self.counting = Counting(made.output, self.tally, clock=lambda: self.now)

    def commit(self, *numbers: int) -> None:
        for number in numbers:
            unit = self.made.unit(number)
            size = self.made.put(unit, rows_of(unit))
            ended = "committed" if size else "taken"
            self.tally.record(Receipt(unit.name, ended, task=TASK, size=size, rows=1))  # type: ignore[arg-type]
            self.counting.look()
            self.counting.end()


def known(made: Made) -> set[int]:
    names = [unit.name for unit in made.units]
    return {names.index(unit) for unit in read_known(made.output, TASK)}


def read_by_the_next_run(made: Made, monkeypatch: pytest.MonkeyPatch) -> int:
    """Units that the next run reads at its end; each has one row."""
    read = []
    with monkeypatch.context() as looking:
        looking.setattr(
            "pipeline.table.footers.read_range", lambda uri, *place: (read.append(uri), read_range(uri, *place))[1]
        )
        assert after(made).totals[TASK].rows == len(committed(made.output, TASK))
    return len(read)


def after(made: Made) -> Outcome:
    """What a run with nothing to do finds."""
    planned, before = plan.read_planned(made.output), standing(made.output, (TASK,), made.units)
    return outcome(made.output, "r", planned, before, None)


def test_a_killed_run_leaves_no_more_to_count_than_it_had_not_put(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(made).commit(*range(8))
    assert known(made) == set(range(6))
    assert read_by_the_next_run(made, monkeypatch) == 2
    assert read_by_the_next_run(made, monkeypatch) == 0


def test_what_is_little_is_put_after_a_while(made: Made) -> None:
    driver = Driver(made)
    driver.commit(0)
    driver.now = counting.EVERY
    driver.commit(1)
    assert known(made) == {0, 1}
    driver.now = 2 * counting.EVERY - 1
    driver.commit(2)
    assert known(made) == {0, 1}


def test_of_two_at_once_none_takes_away_what_the_other_has_counted(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = Driver(made), Driver(made)
    one.commit(0, 1)
    two.commit(1, 3, 4)
    one.commit(2)
    assert known(made) == {0, 1, 2}
    two.commit(5)
    assert known(made) == {0, 1, 2, 3, 4, 5}
    assert read_by_the_next_run(made, monkeypatch) == 0


def test_a_unit_that_was_rewritten_since_is_counted_again(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(made).commit(0, 1, 2)
    rewrite.rewrite(made.output, str(made.file(1)), ["c/b"])
    assert after(made).totals[TASK].rows == 2


def test_storage_that_refuses_ends_nothing_and_what_cannot_be_read_is_not_replaced(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(made)
    driver.commit(0, 1, 2)
    file = Path(layout.totals_file(made.output, TASK))
    before = file.read_bytes()

    def closed(uri: str) -> bytes:
        raise PermissionError(13, "Permission denied", uri)

    with monkeypatch.context() as closing:
        closing.setattr(import_module("pipeline.table.totals"), "read_bytes", closed)
        driver.commit(3, 4, 5)
        assert file.read_bytes() == before
    file.unlink()
    file.parent.rmdir()
    file.parent.write_text("in the way")
    driver.commit(6, 7)
    assert driver.tally.done == 8


def test_storage_that_does_not_answer_holds_nobody_up_and_is_asked_once(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, never = [], threading.Event()

    def silent(output: str, task: str, found: object) -> None:
        asked.append(task)
        assert never.wait(60)

    driver, began = Driver(made), time.monotonic()
    monkeypatch.setattr(counting.table, "add_known", silent)
    monkeypatch.setattr(counting, "PATIENCE", 0.1)
    driver.commit(*range(8))
    assert asked == [TASK]
    assert time.monotonic() - began < 30
    never.set()


def test_what_is_put_by_the_clock_is_no_sign_that_the_work_moves(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    put: Callable[..., None] = counting.table.add_known

    def seen(*given: object) -> None:
        before = overdue._last_step
        put(*given)
        steps.append(overdue._last_step - before)

    monkeypatch.setattr(counting.table, "add_known", seen)
    Driver(made).commit(0, 1, 2)
    assert steps == [0]
    assert known(made) == {0, 1, 2}
