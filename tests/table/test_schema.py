"""One schema in every file, of plain types that every reader knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.table import schema as schemas
from pipeline.table.columns import parse_columns
from tests.table.conftest import MODEL_HASH


def test_columns_are_those_of_the_contract(task_schema: pa.Schema) -> None:
    assert task_schema.names == [
        "id", "source", "key", "recording", "span", "spans", "unit", "version", "start", "duration", "sample_rate",
        "channels", "text", "confidence", "words", "reference", "metadata", "model", "warnings", "error",
    ]  # fmt: skip
    assert task_schema.metadata == {b"voxmill.schema": b"1"}


def test_the_metadata_say_which_vectors_can_be_compared() -> None:
    vector = pa.field("embedding", pa.list_(pa.float32(), 6))
    made = schemas.schema((vector, pa.field("text", pa.string())), model_hash="2f9c")
    assert made.metadata == {
        b"voxmill.schema": b"1", b"voxmill.model_hash": b"2f9c", b"voxmill.embedding_dimension": b"6",
    }  # fmt: skip


def test_columns_asked_for_stand_beside_the_metadata() -> None:
    names = schemas.schema((), parse_columns("speaker:string,year:int32")).names
    assert names[names.index("metadata") + 1 :][:2] == ["speaker", "year"]


def test_a_name_that_is_taken_is_refused() -> None:
    text = pa.field("text", pa.string())
    with pytest.raises(UserError, match=r"--columns: the name 'text' is taken.*Rename the field"):
        schemas.schema((text,), parse_columns("text:string"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s, None),
        (lambda s: s.remove(s.get_field_index("confidence")), None),
        (lambda s: s.with_metadata({}), "schema version missing, not 1"),
        (lambda s: s.append(pa.field("mood", pa.string())), "column mood is not one of this task"),
        (lambda s: s.set(0, pa.field("id", pa.int32())), "column id is int32, not string"),
        (lambda s: s.remove(0), "column id is missing"),
    ],
)
def test_difference(task_schema: pa.Schema, change: Any, message: str | None) -> None:
    assert schemas.difference(change(task_schema), task_schema) == message


def test_every_file_has_the_schema(made: Any, task_schema: pa.Schema) -> None:
    made.plan("a.wav", "b.wav")
    made.commit(0)
    made.commit(1, broken=["c/b.wav"])
    for number in range(2):
        found = pq.read_schema(made.file(number))
        assert found.equals(task_schema)
        assert found.metadata[b"voxmill.schema"] == b"1"


def test_pandas_duckdb_and_polars_read_it(made: Any) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit(broken=["c/b.wav"])
    glob = f"{Path(made.output)}/transcribe/*.parquet"

    frame = pd.read_parquet(made.file(0)).set_index("id")
    assert frame.loc["c/a.wav", "text"] == "one two"
    assert [word["word"] for word in frame.loc["c/a.wav", "words"]] == ["one", "two"]
    assert pd.isna(frame.loc["c/b.wav", "text"])
    assert frame.loc["c/b.wav", "error"] == {"stage": "decode", "type": "decode", "message": "not audio"}
    assert frame["duration"].dtype == "float64"

    found = duckdb.sql(f"select id, words[2].start, error.type from '{glob}' order by id").fetchall()
    assert found == [("c/a.wav", 0.5, None), ("c/b.wav", None, "decode")]

    lazy = pl.scan_parquet(glob).sort("id")
    assert lazy.select(pl.col("words").list.len()).collect().to_series().to_list() == [2, None]
    assert lazy.select(pl.col("error").struct.field("stage")).collect().to_series().to_list() == [None, "decode"]
    assert lazy.select("model").collect().to_series()[0] == {"name": "digits", "hash": MODEL_HASH}


STRANGE = (
    pa.sparse_union([]), pa.struct([pa.field("stage", pa.sparse_union([])), pa.field("type", pa.string())]),
    pa.list_(pa.map_(pa.string(), pa.int32())), pa.dictionary(pa.int32(), pa.string()), pa.null(),
)  # fmt: skip


@pytest.mark.parametrize("kind", STRANGE, ids=str)
def test_a_packed_schema_has_types_of_tables_alone(kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match=r"^column odd of type "):
        schemas.unpacked(pa.schema([("id", pa.string()), ("odd", kind)]).serialize().to_pybytes())


def test_a_packed_schema_has_every_column_once() -> None:
    with pytest.raises(ValueError, match=r"^a column that comes twice$"):
        schemas.unpacked(pa.schema([("id", pa.string()), ("id", pa.string())]).serialize().to_pybytes())


def test_a_packed_schema_is_itself(task_schema: pa.Schema) -> None:
    more = [pa.field("vector", pa.list_(pa.float32(), 4)), pa.field("yes", pa.bool_()), pa.field("n", pa.int64())]
    schema = pa.schema([*task_schema, *more], metadata=task_schema.metadata)
    assert schemas.unpacked(schema.serialize().to_pybytes()).equals(schema, check_metadata=True)


@pytest.mark.parametrize("cut", [0, 3, 40])
def test_a_schema_that_is_cut_is_damaged(task_schema: pa.Schema, cut: int) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        schemas.unpacked(task_schema.serialize().to_pybytes()[:cut])


def test_names_of_a_packed_schema_are_text_wherever_they_are() -> None:
    for schema in (pa.schema([("name", pa.int8())]), pa.schema([("a", pa.list_(pa.struct([("name", pa.int8())])))])):
        packed = schema.serialize().to_pybytes()
        assert packed.count(b"name") == 1
        with pytest.raises(ValueError, match="utf-8"):
            schemas.unpacked(packed.replace(b"name", b"nam\x81"))
