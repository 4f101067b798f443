"""Pages without a checksum are damage, however they lost it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.storage import parquet
from pipeline.storage.pages import count_values

ROWS = pa.table(
    {
        "id": [f"c/{number}" for number in range(50_000)],
        "text": ["one two"] * 50_000,
        "words": [[{"text": "one", "start": 0.5}], None] * 25_000,
        "error": [None, {"stage": "read", "message": "gone"}] * 25_000,
        "good": [True, None] * 25_000,
    }
)


def written(**options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(ROWS, sink, compression="zstd", row_group_size=20_000, **options)
    return sink.getvalue()


@pytest.mark.parametrize("options", [{}, {"write_statistics": False}, {"data_page_size": 4096},
                                     {"data_page_version": "2.0"}, {"use_dictionary": False}])  # fmt: skip
def test_what_arrow_writes_with_checksums_is_read(options: dict[str, Any]) -> None:
    data = written(write_page_checksum=True, **options)
    assert parquet.read(io.BytesIO(data)).equals(ROWS)
    assert parquet.read(pa.BufferReader(data), groups=[1], columns=["words", "id"]).equals(
        ROWS.select(["words", "id"]).slice(20_000, 20_000)
    )


def test_what_is_written_without_checksums_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="^a page has no checksum$"):
        parquet.read(pa.BufferReader(written()))


def test_text_that_changed_behind_a_checksum_of_another_type_is_refused() -> None:
    data = bytearray(written(write_page_checksum=True, use_dictionary=False, write_statistics=False))
    # Kind, both sizes, then the checksum, all numbers of 32 bits; Arrow passes over one of 16.
    at = 4
    for _ in range(3):
        assert data[at] == 0x15
        at = next(place for place in range(at + 1, len(data)) if data[place] < 0x80) + 1
    data[at] = 0x14
    pq.read_table(pa.BufferReader(bytes(data)), page_checksum_verification=True)
    with pytest.raises(pa.ArrowInvalid, match="^the header of a page makes no sense$"):
        parquet.read(pa.BufferReader(bytes(data)))


@pytest.mark.parametrize("columns", [None, ["id"], ["words", "text"]])
def test_a_row_that_the_footer_alone_leaves_out_is_missed(columns: list[str] | None) -> None:
    """Numbers of rows stand in the footer, which has no checksum, once for the file and once for each row group."""
    few = io.BytesIO()
    pq.write_table(ROWS.slice(0, 5), few, write_page_checksum=True)
    data = few.getvalue()
    whole = pq.read_metadata(io.BytesIO(data))
    start = len(data) - 8 - whole.serialized_size
    told = set()
    for at in range(start, len(data) - 8):
        if data[at] == 5 << 1:
            changed = data[:at] + bytes([4 << 1]) + data[at + 1 :]
            try:
                assert parquet.read(io.BytesIO(changed), columns=columns).num_rows == 5
            except (pa.ArrowException, OSError) as error:
                told.add(str(error))
    assert {"its footer counts 4 rows, and 5 in row groups", "its footer counts 5 rows, and 4 in row groups"} <= told
    both = data.replace(b"\x16\x0a", b"\x16\x08")
    with pytest.raises(pa.ArrowException, match="^5 values of a column for 4 rows$"):
        parquet.read(io.BytesIO(both), columns=columns)


PAGE = bytes([0x15, 0, 0x15, 8, 0x15, 8, 0x15, 2, 0x1C, 0x15, 2, 0, 0]) + b"rows"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda page: page[:6], "half a header"),
        (lambda page: page[:-1], "a page is longer than its column"),
        (lambda page: page + b"\0", "a page has no checksum"),
        (lambda page: page[:5] + b"\x15\x07" + page[7:], "."),
        (lambda page: page[:7] + b"\xff" * 5_000_000, "makes no sense"),
        (lambda page: b"\x1c" * 100_000, "makes no sense"),
        (lambda page: b"\x05\x02" + page, "makes no sense"),
        (lambda page: b"\x18\xff\xff\xff\xff\x0f" + page, "half a header"),
    ],
)
def test_pages_that_make_no_sense_are_refused_at_once(change: Callable[[bytes], bytes], told: str) -> None:
    assert count_values(PAGE + PAGE) == 2
    with pytest.raises(pa.ArrowInvalid, match=told):
        count_values(PAGE + change(PAGE))
