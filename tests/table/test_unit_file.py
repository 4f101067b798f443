"""A unit's file is read whole, or the reason why it cannot be is one line with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.table import unit_file
from pipeline.table.encode import encode
from pipeline.table.footers import counts
from pipeline.table.unit_file import is_of_a_file, read_unit


def test_what_was_committed_comes_back(made: Any, rows: Any) -> None:
    made.plan("a.wav")
    made.commit()
    assert read_unit(str(made.file(0))).equals(rows(made.unit(0)))


def test_every_byte_of_a_page_is_checked(made: Any, rows: Any, tmp_path: Path) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    data = encode(rows(made.unit(0)), {})
    group = pq.read_metadata(pa.BufferReader(data)).row_group(0)
    pages_end = sum(group.column(number).total_compressed_size for number in range(group.num_columns))
    wrong = 0
    for at in range(60, pages_end, 41):
        (tmp_path / "x.parquet").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            wrong += not read_unit(str(tmp_path / "x.parquet")).equals(rows(made.unit(0)))
        except UserError as error:
            assert str(error).startswith(f"{tmp_path}/x.parquet: cannot be read as Parquet (")  # noqa: PT017
    assert wrong == 0


def test_every_byte_that_its_footer_tells_is_told_twice(made: Any) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit()
    whole = made.file(0).read_bytes()
    for word in (b"voxmill.attempt", b"voxmill.rows"):
        at = whole.rindex(word) + len(word) - 1
        made.file(0).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert counts(str(made.file(0)), len(whole)) is None
        with pytest.raises(UserError, match=r"\(what its footer tells is not what was written\)\. Delete it; the next"):
            read_unit(str(made.file(0)))


def test_its_footer_says_nothing_of_its_columns_that_could_hide_a_row(made: Any) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit()
    group = pq.read_metadata(made.file(0)).row_group(0)
    assert not any(group.column(number).is_stats_set for number in range(group.num_columns))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.parquet: the file went away while it was being read\. Run the command"):
        read_unit(str(tmp_path / "x.parquet"))


def test_errors_of_the_storage_are_of_no_file() -> None:
    assert is_of_a_file(OSError("could not verify page integrity"))
    assert is_of_a_file(FileNotFoundError(2, "gone"))
    assert not is_of_a_file(OSError(5, "Input/output error"))


def test_no_more_is_read_than_a_units_file_ever_has(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a.wav")
    made.commit()
    size = made.file(0).stat().st_size
    monkeypatch.setattr(unit_file, "MOST", size)
    assert read_unit(str(made.file(0))).num_rows == 1
    monkeypatch.setattr(unit_file, "MOST", size - 1)
    with pytest.raises(UserError, match=rf"is too large for a unit's file \({size:,} bytes, of which .*\)\. Delete it"):
        read_unit(str(made.file(0)))
