"""Rows and errors of a whole table are added up from footers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.fetch import read_range
from pipeline.table import Totals, totals

TASK = "transcribe"
MODULE = "pipeline.table.footers"


@pytest.fixture
def table(made: Any) -> Any:
    made.plan("a", "b", "c", "d", seconds=25.0)
    made.commit(0, 1, broken=("c/a", "c/c", "c/d"))
    return made


def test_rows_and_errors_are_those_of_the_named_units(table: Any) -> None:
    assert totals(table.output, TASK, table.units) == Totals(rows=4, errors=3)
    assert totals(table.output, TASK, table.units[:1]) == Totals(rows=2, errors=1)
    assert totals(table.output, TASK, []) == Totals()


def test_a_footer_longer_than_the_tail_is_read_whole(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{MODULE}._TAIL", 100)
    assert totals(table.output, TASK, table.units) == Totals(rows=4, errors=3)


def test_only_the_end_of_a_file_is_read(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(uri: str, start: int, length: int) -> bytes:
        asked.append(length)
        return read_range(uri, start, length)

    tail = min(table.file(number).stat().st_size for number in range(2)) - 200
    monkeypatch.setattr(f"{MODULE}._TAIL", tail)
    monkeypatch.setattr(f"{MODULE}.read_range", noted)
    assert totals(table.output, TASK, table.units).rows == 4
    assert asked == [tail, tail]


def test_damaged_files_are_named_and_the_others_counted(table: Any) -> None:
    first, second = table.file(0), table.file(1)
    first.write_bytes(b"not a table, for sure" * 10)
    found = totals(table.output, TASK, table.units)
    assert (found.rows, found.errors, found.damaged) == (2, 2, (str(first),))
    second.unlink()
    assert [Path(file).name for file in totals(table.output, TASK, table.units).damaged] == [first.name, second.name]
