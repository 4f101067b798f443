"""Rows put together from plan, decoding, task and faults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from pipeline.corpus import Recording
from pipeline.errors import ErrorRow, UserError
from pipeline.table.assemble import assemble
from pipeline.table.columns import parse_columns
from pipeline.table.commit import contradiction
from pipeline.table.schema import schema

TASK = (pa.field("text", pa.string()),)
MODEL = ("digits", "2f9c")


@dataclass(frozen=True)
class Found:
    start: float = 0.0
    duration: float = 1.5
    sample_rate: int = 8000
    channels: int = 2
    warnings: tuple[str, ...] = ()


def recording(name: str, **facts: Any) -> Recording:
    return Recording(f"c/{name}", f"file:///{name}", name, "9-1", f"c/{name}", "wav", 2.0, "header", 9, **facts)


def rows(
    recordings: list[Recording],
    measured: list[Found | None],
    *,
    errors: dict[int, ErrorRow] | None = None,
    extra: str = "",
    warnings: dict[int, tuple[str, ...]] | None = None,
) -> pa.Table:
    text = pa.array([None if index in (errors or {}) else f"text {index}" for index in range(len(recordings))])
    return assemble(
        "u" * 32, recordings, measured, errors or {}, {"text": text}, warnings=warnings, task_fields=TASK, extra=extra,
        model=MODEL,
    )  # fmt: skip


def test_a_row_holds_what_the_plan_the_decoder_and_the_task_know() -> None:
    made = rows([recording("a", reference="one", metadata='{"speaker": "x"}')], [Found(warnings=("odd",))])
    assert made.to_pylist() == [
        {
            "id": "c/a", "source": "file:///a", "key": "a", "recording": "c/a", "span": 0, "spans": 1, "unit": "u" * 32,
            "version": "9-1", "start": 0.0, "duration": 1.5, "sample_rate": 8000, "channels": 2, "text": "text 0",
            "reference": "one", "metadata": '{"speaker": "x"}', "model": {"name": "digits", "hash": "2f9c"},
            "warnings": ["odd"], "error": None,
        }
    ]  # fmt: skip


def test_rows_stand_in_the_order_of_the_plan_and_can_be_committed() -> None:
    recordings = [recording(name) for name in "cab"]
    made = rows(recordings, [Found()] * 3)
    assert made.column("text").to_pylist() == ["text 0", "text 1", "text 2"]
    assert contradiction("u" * 32, made, [each.id for each in recordings]) is None


def test_a_recording_that_failed_keeps_what_was_planned_and_has_null_for_the_rest() -> None:
    error = ErrorRow("decode", "decode", "not audio")
    good, bad = rows([recording("a"), recording("b", start=3.5)], [Found(), None], errors={1: error}).to_pylist()
    assert good["error"] is None
    assert bad["error"] == {"stage": "decode", "type": "decode", "message": "not audio"}
    assert (bad["id"], bad["start"], bad["warnings"]) == ("c/b", 3.5, [])
    assert (bad["duration"], bad["sample_rate"], bad["channels"], bad["text"]) == (None, None, None, None)


def test_a_fault_after_decoding_keeps_what_decoding_found() -> None:
    error = ErrorRow("model", "not_finite", "no number")
    (row,) = rows([recording("a")], [Found(warnings=("odd",))], errors={0: error}).to_pylist()
    assert (row["duration"], row["warnings"], row["error"]["stage"]) == (1.5, ["odd"], "model")


def test_the_start_is_where_decoding_put_it() -> None:
    made = rows([recording("a", start=1.00001), recording("b", start=1.00001)], [Found(start=1.0), None])
    assert made.column("start").to_pylist() == [1.0, 1.00001]


def test_spans_say_which_part_of_what_they_are() -> None:
    span = recording("a", start=3600.0, end=7200.0, span=1, spans=3)
    (row,) = rows([span], [Found(start=3600.0, duration=3600.0)]).to_pylist()
    assert (row["recording"], row["span"], row["spans"], row["start"]) == ("c/a", 1, 3, 3600.0)


def test_columns_asked_for_are_typed_and_what_does_not_fit_is_a_warning() -> None:
    recordings = [
        recording("a", metadata='{"speaker": "x", "year": 1999}'),
        recording("b", metadata='{"year": "soon"}'),
        recording("c"),
    ]
    made = rows(
        recordings, [Found(warnings=("odd",)), Found(warnings=("odd",)), None], extra="speaker:string,year:int32"
    )
    assert made.column("speaker").to_pylist() == ["x", None, None]
    assert made.column("year").to_pylist() == [1999, None, None]
    assert made.column("year").type == pa.int32()
    assert made.column("warnings").to_pylist() == [["odd"], ["odd", 'metadata: year is "soon", not int32'], []]


def test_what_was_odd_to_the_task_stands_between_decoding_and_metadata() -> None:
    recordings = [recording("a", metadata='{"year": "soon"}'), recording("b"), recording("c")]
    odd = {0: ("too short",), 2: ("too long", "and loud")}
    made = rows(recordings, [Found(warnings=("odd",)), Found(), None], extra="year:int32", warnings=odd)
    assert made.column("warnings").to_pylist() == [
        ["odd", "too short", 'metadata: year is "soon", not int32'], [], ["too long", "and loud"],
    ]  # fmt: skip


@pytest.mark.parametrize("extra", ["", "speaker:string,year:int32"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_table_has_the_schema_of_the_task_whatever_is_in_it(extra: str, count: int) -> None:
    expected = schema(TASK, parse_columns(extra), model_hash=MODEL[1])
    assert expected.metadata == {b"voxmill.schema": b"1", b"voxmill.model_hash": b"2f9c"}
    failed = ErrorRow("read", "missing", "gone")
    for made in (
        rows([recording(str(n)) for n in range(count)], [Found()] * count, extra=extra),
        rows(
            [recording(str(n)) for n in range(count)],
            [None] * count,
            errors=dict.fromkeys(range(count), failed),
            extra=extra,
        ),
    ):
        assert made.schema.equals(expected, check_metadata=True)
        assert made.num_rows == count


def test_a_column_asked_for_cannot_take_the_name_of_another() -> None:
    with pytest.raises(UserError, match="the name 'text' is taken"):
        rows([recording("a")], [Found()], extra="text:string")
