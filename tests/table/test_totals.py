"""Rows and errors of a whole table are added up: from what is known, and from the footers of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.storage.fetch import read_range
from pipeline.table import Count, Totals, layout, read_known, totals, write_known
from pipeline.table.done import committed_sizes

TASK = "transcribe"


@pytest.fixture
def table(made: Any) -> Any:
    made.plan("a", "b", "c", "d", seconds=25.0)
    made.commit(0, 1, broken=("c/a", "c/c", "c/d"))
    return made


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Files of which footers are read, and how many bytes of each."""
    asked: list[tuple[str, int]] = []

    def noted(uri: str, start: int, length: int) -> bytes:
        asked.append((Path(uri).name, length))
        return read_range(uri, start, length)

    monkeypatch.setattr("pipeline.table.footers.read_range", noted)
    return asked


def counted(table: Any, hidden: set[tuple[str, str]] | None = None, known: Any = None) -> Totals:
    return totals(table.output, TASK, committed_sizes(table.output, TASK), hidden or set(), known or {})


def test_rows_and_errors_are_those_of_the_units_asked_for(table: Any) -> None:
    found = counted(table)
    assert (found.rows, found.errors, found.damaged) == (4, 3, ())
    first = table.units[0].name
    assert totals(table.output, TASK, {first: table.file(0).stat().st_size}, set(), {}).rows == 2
    assert totals(table.output, TASK, {}, set(), found.units) == Totals({})


def test_where_another_row_is_hidden_than_before_a_unit_is_counted_anew(table: Any) -> None:
    unit = table.units[0].name
    before = counted(table, {(unit, "c/a")})
    assert (before.rows, before.errors) == (3, 2)
    after = counted(table, {(unit, "c/b")}, before.units)
    assert (after.rows, after.errors) == (3, 3)


def test_only_the_end_of_a_file_is_read(table: Any, reads: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    tail = min(table.file(number).stat().st_size for number in range(2)) - 200
    monkeypatch.setattr("pipeline.table.footers._TAIL", tail)
    assert counted(table).rows == 4
    assert [length for _, length in reads] == [tail, tail]


def test_a_footer_longer_than_the_tail_is_read_whole(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.table.footers._TAIL", 100)
    assert counted(table).rows == 4


def test_damaged_files_are_named_and_the_others_counted(table: Any) -> None:
    table.file(0).write_bytes(b"not a table, for sure" * 10)
    found = counted(table)
    assert (found.rows, found.errors, found.damaged) == (2, 2, (str(table.file(0)),))


def test_what_is_known_is_not_read_again(table: Any, reads: list[Any]) -> None:
    write_known(table.output, TASK, counted(table).units)
    reads.clear()
    assert counted(table, known=read_known(table.output, TASK)).rows == 4
    assert reads == []


def test_a_file_of_another_size_is_counted_again_and_what_is_gone_is_not_counted(table: Any, reads: list[Any]) -> None:
    known = counted(table).units
    whole = pq.read_table(table.file(0))
    fewer = whole.slice(0, 1).replace_schema_metadata({**whole.schema.metadata, b"voxmill.rows": b"1"})
    pq.write_table(fewer, table.file(0), write_page_checksum=True)
    reads.clear()
    assert (counted(table, known=known).rows, [name for name, _ in reads]) == (3, [table.file(0).name])
    table.file(1).unlink()
    assert counted(table, known=known).rows == 1


def test_rows_that_newer_ones_replace_are_not_counted(table: Any, reads: list[Any]) -> None:
    known = counted(table).units
    hidden = {(table.units[0].name, "c/a")}
    found = counted(table, hidden, known)
    assert (found.rows, found.errors) == (3, 2)
    assert [found.units[unit.name].hidden != 0 for unit in table.units] == [True, False]
    reads.clear()
    assert counted(table, hidden, found.units) == found
    assert reads == []


@pytest.mark.parametrize("damage", [b"", b"junk" * 9, None])
def test_a_damaged_cache_is_no_cache(table: Any, damage: bytes | None) -> None:
    units = counted(table).units
    write_known(table.output, TASK, units)
    file = Path(layout.totals_file(table.output, TASK))
    assert read_known(table.output, TASK) == units
    if damage is None:
        pq.write_table(
            pq.read_table(file).replace_schema_metadata({"voxmill.totals": "0"}), file, write_page_checksum=True
        )
    else:
        file.write_bytes(damage)
    assert read_known(table.output, TASK) == {}


def test_a_cache_that_cannot_be_written_harms_nothing(table: Any) -> None:
    Path(table.output, "_totals").write_text("in the way")
    write_known(table.output, TASK, {table.units[0].name: Count(1, 0, 1, 0)})
    assert read_known(table.output, TASK) == {}
