"""The plan as a run finds it: what the table will have of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.plan import read_planned
from pipeline.plan.forgotten import remember
from pipeline.receipts import Receipt
from pipeline.table.again import failed, try_again
from pipeline.tally import Tally
from tests.table.conftest import Made


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "table").mkdir()
    return Made(str(tmp_path / "table"))


def test_a_recording_that_has_changed_counts_once_and_a_forgotten_one_not(made: Made) -> None:
    made.plan("a", "b", "c", seconds=20.0)
    assert read_planned(made.output).recordings == 3
    made.plan("a", "b", "c", version="2-2", seconds=20.0)
    assert read_planned(made.output).recordings == 3
    remember(made.output, ["c/a"])
    found = read_planned(made.output)
    assert (found.recordings, len(found.superseded), len(found.forgotten)) == (2, 3, 2)
    assert [found.shown([unit]) for unit in found.units] == [0, 2]


def test_a_row_is_old_for_the_tasks_that_have_its_newer_one_to_do(made: Made) -> None:
    made.plan("a", "b", seconds=20.0)
    made.plan("a", version="2-2", seconds=20.0)
    made.commit(broken=["c/b"])
    try_again(made.output, failed(made.output, ["transcribe"]))
    planned = read_planned(made.output)
    first = planned.units[0].name
    assert planned.old("transcribe") == {first: {"c/a", "c/b"}}
    assert planned.old("another") == {first: {"c/a"}}


def test_progress_ends_at_what_the_table_has_and_not_at_what_was_done(made: Made) -> None:
    made.plan("a", "b", "c", seconds=20.0)
    made.plan("a", version="2-2", seconds=20.0)
    remember(made.output, ["c/b"])
    planned = read_planned(made.output)
    tally = Tally(recordings=planned.shown(planned.units), audio_seconds=0.0, workers={}, passing=planned.passing)
    for number, unit in enumerate(planned.units):
        tally.record(Receipt(unit.name, "committed", rows=len(made.unit(number).recordings)))
    assert (tally.done, tally.recordings) == (2, 2)
