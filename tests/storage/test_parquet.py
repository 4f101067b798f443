"""Parquet that stands for more than it is."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage import parquet

TIMES = 1_000_000
LITTLE = 64 << 20
"""Bytes that refusing may take."""


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    """What Arrow takes its memory from: it knows the most that it had."""
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    yield counted
    pa.set_memory_pool(usual)


def written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, **options)
    return sink.getvalue()


def repeated() -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(TIMES, np.int32)), pa.array(["x" * 2**20]))


def in_a_list(values: pa.Array) -> pa.ListArray:
    words = pa.StructArray.from_arrays([values, pa.array(np.zeros(len(values)))], ["text", "start"])
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), words)


def bomb(kind: str) -> bytes:
    """A terabyte, of a text of a megabyte."""
    text = repeated()
    column = in_a_list(text) if kind == "a list" else text
    return written(pa.table({"words": column}), store_schema=kind == "a dictionary")


@pytest.mark.parametrize("kind", ["text", "a dictionary", "a list"])
def test_three_kilobytes_that_stand_for_a_terabyte_are_refused(kind: str, pool: pa.MemoryPool) -> None:
    data = bomb(kind)
    assert len(data) < 3_100
    before = pool.max_memory()
    with pytest.raises(pa.ArrowInvalid, match="^its rows stand for more than 2 GB$"):
        parquet.read(pa.BufferReader(data))
    assert pool.max_memory() - before < LITTLE


@pytest.mark.parametrize("kind", [pa.large_list, lambda type: pa.list_(type, 1000)], ids=["large", "of one length"])
def test_text_in_any_list_is_measured(kind: Any, monkeypatch: pytest.MonkeyPatch, pool: pa.MemoryPool) -> None:
    rows = [["x" * 2**16] * 1000] * 10
    data = written(pa.table({"words": pa.array(rows, kind(pa.string()))}))
    assert len(data) < 10_000
    monkeypatch.setattr(parquet, "MOST", 50 << 20)
    before = pool.max_memory()
    with pytest.raises(pa.ArrowInvalid, match="stand for more than"):
        parquet.read(pa.BufferReader(data))
    assert pool.max_memory() - before < 20 << 20


@pytest.mark.parametrize("inside", ["a row", "a list"])
def test_long_values_of_one_length_are_refused_by_the_footer(inside: str, pool: pa.MemoryPool) -> None:
    values = pa.array([b"x" * (2 << 20)] * 4, pa.binary(2 << 20))
    column = pa.ListArray.from_arrays([0, 4], values) if inside == "a list" else values
    data = written(pa.table({"id": column}))
    del values, column
    before = pool.bytes_allocated()
    read = pa.BufferReader(data)
    with pytest.raises(pa.ArrowInvalid, match=r"its column id\S* has values of 2097152 bytes, which no table has"):
        parquet.read(read)
    assert pool.bytes_allocated() - before < 1 << 20


def test_short_values_of_one_length_count_with_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(pa.table({"id": pa.array([b"x" * 64] * 1000, pa.binary(64))}))
    monkeypatch.setattr(parquet, "MOST", 64_000)
    assert parquet.read(pa.BufferReader(data)).num_rows == 1000
    monkeypatch.setattr(parquet, "MOST", 63_999)
    with pytest.raises(pa.ArrowInvalid, match="stand for more than"):
        parquet.read(pa.BufferReader(data))


def test_numbers_are_refused_by_the_footer(monkeypatch: pytest.MonkeyPatch, pool: pa.MemoryPool) -> None:
    zeros = written(pa.table({"start": np.zeros(2_000_000)}))
    assert len(zeros) < 20_000
    monkeypatch.setattr(parquet, "MOST", 10 << 20)
    before = pool.max_memory()
    with pytest.raises(pa.ArrowInvalid, match="stand for more than"):
        parquet.read(pa.BufferReader(zeros))
    assert pool.max_memory() - before < 1 << 20


def test_rows_are_read_as_arrow_reads_them() -> None:
    long = [json.dumps({"speaker": number}) for number in range(3_000)]
    table = pa.table(
        {
            "id": pa.array([None, *long[1:]]),
            "words": pa.concat_arrays([in_a_list(pa.array(long)), pa.nulls(2_999, in_a_list(pa.array(long)).type)]),
            "vector": pa.array([[0.5, 1.5]] * 3_000, pa.list_(pa.float32(), 2)),
            "hash": pa.array([b"0123"] * 3_000, pa.binary(4)),
            "pair": pa.array([["a", text] for text in long], pa.list_(pa.string(), 2)),
            "large": pa.array([["a", text] for text in long], pa.large_list(pa.string())),
        },
        metadata={"a": "b"},
    )
    data = written(table, row_group_size=1_000)
    usual = pq.ParquetFile(pa.BufferReader(data)).read()
    assert parquet.read(pa.BufferReader(data)).equals(usual, check_metadata=True)
    chosen = parquet.read(pa.BufferReader(data), groups=[1], columns=["words", "hash"])
    assert chosen.equals(usual.select(["words", "hash"]).slice(1_000, 1_000), check_metadata=True)


def test_text_in_lists_is_read_out_of_several_row_groups() -> None:
    words = pa.array([[{"text": f"word {row}", "start": 0.5}] for row in range(30)])
    table = pa.table({"words": words, "error": pa.array([{"message": "bad"}, None] * 15)})
    assert parquet.read(pa.BufferReader(written(table, row_group_size=10))).equals(table)


def test_row_groups_are_measured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(pa.table({"id": ["x" * 100] * 30}), row_group_size=10)
    monkeypatch.setattr(parquet, "MOST", 2_500)
    assert parquet.read(pa.BufferReader(data), groups=[0, 1]).num_rows == 20
    with pytest.raises(pa.ArrowInvalid, match="stand for more than"):
        parquet.read(pa.BufferReader(data))


def test_a_file_without_rows() -> None:
    empty = pa.table({"id": pa.array([], pa.string())})
    assert parquet.read(pa.BufferReader(written(empty))).equals(empty)
    assert parquet.read(pa.BufferReader(written(empty)), groups=[]).num_rows == 0
