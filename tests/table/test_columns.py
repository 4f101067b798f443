"""Columns asked for of the metadata: the option, and each value's way into its type."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.table.columns import cast_metadata, extra_columns, parse_columns


def test_spec() -> None:
    assert parse_columns("") == ()
    assert parse_columns(" speaker:string , year:int32,") == (
        pa.field("speaker", pa.string()),
        pa.field("year", pa.int32()),
    )


@pytest.mark.parametrize("spec", ["speaker", "speaker:text", ":int32", "a b:int32", "year:int32:x"])
def test_bad_spec(spec: str) -> None:
    with pytest.raises(UserError, match=r"--columns: .* is not name:type.*write speaker:string,year:int32"):
        parse_columns(spec)


def test_double_name() -> None:
    with pytest.raises(UserError, match="'year' is asked for twice"):
        parse_columns("year:int32,year:string")


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", '"ann"', "ann"), ("string", "7", "7"), ("string", '{"a": 1}', '{"a": 1}'),
        ("int32", "2026", 2026), ("int32", '"2026"', 2026), ("int32", "2026.0", 2026), ("int32", "-5", -5),
        ("int64", "5000000000", 5_000_000_000),
        ("double", "1.5", 1.5), ("double", '"2e3"', 2000.0), ("double", "3", 3.0),
        ("bool", "true", True), ("bool", '"False"', False),
    ],
)  # fmt: skip
def test_values_that_fit(kind: str, value: str, expected: object) -> None:
    assert cast_metadata(parse_columns(f"x:{kind}"), f'{{"x": {value}}}') == ({"x": expected}, [])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int32", "5000000000"), ("int32", "2026.5"), ("int32", '"many"'), ("int32", "true"), ("int32", "[1]"),
        ("int64", "1e300"), ("double", '"nan"'), ("double", '"inf"'), ("double", "false"), ("double", "{}"),
        ("double", "1" + "0" * 400), ("bool", "1"), ("bool", '"yes"'),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(kind: str, value: str) -> None:
    values, warnings = cast_metadata(parse_columns(f"x:{kind}"), f'{{"x": {value}}}')
    assert values == {"x": None}
    assert len(warnings) == 1
    assert warnings[0].startswith("metadata: x is ")
    assert len(warnings[0]) < 100


@pytest.mark.parametrize("metadata", [None, "", "{}", '{"x": null}', "[1, 2]", "not JSON"])
def test_what_is_absent_is_null_without_a_warning(metadata: str | None) -> None:
    assert cast_metadata(parse_columns("x:int32"), metadata) == ({"x": None}, [])


def test_half_a_surrogate_is_told_as_text_that_a_column_holds() -> None:
    _, warnings = extra_columns(parse_columns("x:int32"), ['{"x": "\\ud83d"}'])
    assert warnings == [['metadata: x is "?", not int32']]
    assert pa.array(warnings).to_pylist() == warnings


def test_many_rows() -> None:
    arrays, warnings = extra_columns(parse_columns("x:int32,y:string"), ['{"x": 1}', None, '{"x": "?", "y": "b"}'])
    assert arrays["x"].to_pylist() == [1, None, None]
    assert arrays["x"].type == pa.int32()
    assert arrays["y"].to_pylist() == [None, None, "b"]
    assert [len(each) for each in warnings] == [0, 0, 1]
