"""Files that are whole Parquet and hold other rows than a unit's: told by one line, whoever reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.table.__main__ import main
from pipeline.table.schema import ERROR


def without(name: str) -> Callable[[pa.Table], pa.Table]:
    return lambda rows: rows.drop_columns([name])


def nulls(name: str) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        field = rows.schema.field(name)
        return rows.set_column(rows.schema.get_field_index(name), field, pa.nulls(rows.num_rows, field.type))

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("id"), "column id is missing"),
        (without("error"), "column error is missing"),
        (nulls("id"), "column id has nulls"),
        (nulls("unit"), "column unit has nulls"),
        (lambda rows: rows.set_column(0, "id", pa.array([1, 2])), "column id is int64, not string"),
    ],
)
def test_rows_that_are_no_units_are_refused_by_whoever_reads_them(
    made: Any, change: Callable[[pa.Table], pa.Table], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit()
    pq.write_table(change(pq.read_table(made.file(0))), made.file(0), write_page_checksum=True)
    line = f"{made.file(0)}: is no unit's file ({told}). Delete it; the next run does that unit again."
    for words in (["explain", made.output, "c/a.wav"], ["publish", made.output], ["forget", made.output, "c/a.wav"]):
        assert main(words) == 2
        assert capsys.readouterr().err == f"{line}\n"
    assert main(["verify", made.output]) == 1
    assert f"  {line}\n" in capsys.readouterr().out


def test_a_transcript_without_texts_is_told(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit()
    pq.write_table(without("text")(pq.read_table(made.file(0))), made.file(0), write_page_checksum=True)
    assert main(["publish", made.output]) == 2
    assert capsys.readouterr().err.startswith(f"{made.file(0)}: column text is missing. verify names every file")
    assert main(["verify", made.output]) == 1
    told = f"  {made.file(0)}: column text is missing. Delete it; the next run does that unit again.\n"
    assert told in capsys.readouterr().out


def test_a_column_of_another_name_than_was_written_is_damage(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit()
    made.file(0).write_bytes(made.file(0).read_bytes().replace(b"text", b"tezt"))
    assert main(["publish", made.output]) == 2
    assert "(what its footer tells is not what was written). Delete it" in capsys.readouterr().err


def test_an_error_without_a_stage_is_counted_all_the_same(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit()
    rows = pq.read_table(made.file(0))
    errors = pa.array([{"stage": None, "type": "x", "message": "y"}, {"stage": "decode"}], ERROR)
    place = rows.schema.get_field_index("error")
    pq.write_table(rows.set_column(place, rows.schema.field("error"), errors), made.file(0), write_page_checksum=True)
    assert main(["status", made.output]) == 0
    assert "errors 2 recordings: decode.unknown 1, unknown.x 1" in capsys.readouterr().out
    assert main(["errors", made.output]) == 0
    assert main(["errors", made.output, "--again", "--dry-run"]) == 0
    assert "transcribe: decode.unknown  1" in capsys.readouterr().out
