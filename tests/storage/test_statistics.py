"""Statistics of a footer that would hide rows are told by the name of their column; right ones are not."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage.statistics import misleading, opened

ROWS = pa.table(
    {
        "text": ["b", None, "ü"],
        "number": pa.array([3, 1, 2], pa.int32()),
        "float": [math.nan, -0.0, None],
        "nowhere": pa.array([math.nan] * 3),
        "flag": [True, False, None],
        "none": pa.nulls(3, pa.string()),
        "list": [["x"], [], None],
        "struct": [{"inner": {"deep": "y"}}, None, {"inner": None}],
    }
)


def written(rows: pa.Table) -> pa.NativeFile:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, row_group_size=2)
    return pa.BufferReader(sink.getvalue())


def test_right_ones_mislead_nobody() -> None:
    footer = opened(written(ROWS))
    assert [misleading(footer, group, ROWS.slice(2 * group, 2)) for group in range(2)] == [None, None]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", ["a", None, "x"]),
        ("text", ["c", None, "x"]),
        ("number", [3, 0, 0]),
        ("flag", [True, None, True]),
        ("none", ["x", None, None]),
    ],
)
def test_rows_beyond_them_are_told_by_their_column(name: str, values: list[object]) -> None:
    place = ROWS.schema.get_field_index(name)
    changed = ROWS.set_column(place, name, pa.array(values, ROWS.schema.field(name).type))
    assert misleading(opened(written(ROWS)), 0, changed.slice(0, 2)) == name


def test_columns_inside_of_others_are_told_by_their_path() -> None:
    rows = ROWS.set_column(ROWS.schema.get_field_index("struct"), "struct", [[{"inner": {"deep": "z"}}, None, None]])
    assert misleading(opened(written(ROWS)), 0, rows.slice(0, 2)) == "struct.inner.deep"
