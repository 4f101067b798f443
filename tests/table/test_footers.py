"""A footer is found of a file that is put anew between a look at its size and the reading of its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.late import late_receipts
from pipeline.storage.listing import stat
from pipeline.table import footers
from pipeline.table.footers import counts
from tests.table.conftest import rows_of


def put_anew(file: Path, padding: int) -> None:
    whole = pq.read_table(file)
    told = {**whole.schema.metadata, b"padding": b"-" * padding}
    pq.write_table(whole.replace_schema_metadata(told), file, compression="none", write_page_checksum=True)


@pytest.fixture
def listed(made: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Bytes that a unit's file had before it was put anew, as it is again after each of three looks at its size."""
    made.plan("a", "b", seconds=30.0)
    made.declare()
    unit = made.unit(0)
    made.put(unit, rows_of(unit, broken=["c/a"]), run="mine")
    file, paddings = made.file(0), iter((30_000, 100, 50_000))
    size = file.stat().st_size

    def stat_then_put_anew(uri: str) -> Any:
        entry = stat(uri)
        if (padding := next(paddings, None)) is not None:
            put_anew(file, padding)
        return entry

    put_anew(file, 40_000)
    monkeypatch.setattr(footers, "stat", stat_then_put_anew)
    yield size
    assert next(paddings, None) is None


def test_rows_are_counted(listed: int, made: Any) -> None:
    assert counts(str(made.file(0)), listed) == (2, 1)


def test_a_late_unit_of_the_run_is_its_own(listed: int, made: Any) -> None:
    (unit,) = made.units
    (receipt,) = late_receipts(made.output, "transcribe", "mine", {unit.name: listed})
    assert (receipt.unit, receipt.rows) == (unit.name, 2)
    assert list(late_receipts(made.output, "transcribe", "another", {unit.name: listed})) == []


def test_damage_is_none_and_so_is_a_file_that_went_away(made: Any) -> None:
    made.plan("a")
    made.commit()
    file = made.file(0)
    size = file.stat().st_size
    assert counts(str(file), size) == (1, 0)
    file.write_bytes(file.read_bytes()[:-9])
    assert (counts(str(file), size), counts(str(file), size - 9)) == (None, None)
    file.unlink()
    assert counts(str(file), size) is None
