"""Rows of Parquet files, of no more bytes than are believed: a few hundred bytes of a file may stand for terabytes.

A text that repeats is written once, with a number that says how often. So text is read as it is written, and measured
before it is written out. What a footer says of its columns is not asked: of a damaged one, that ends the process.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.storage.pages import SummedPages

MOST = 2 * 2**30
"""Bytes of rows that are read at once; those of a unit, or of a row group of a plan, take a few megabytes."""
_WIDTH = 8
"""Bytes of a number, at most."""
_LONGEST = 64
"""Bytes of a value of a column whose values are all as long: an id of a unit has 16, half a float 2, a decimal 32."""


def read(
    file: BinaryIO | pa.NativeFile,
    *,
    groups: Sequence[int] | None = None,
    columns: Sequence[str] | None = None,
    footer: pq.FileMetaData | None = None,
) -> pa.Table:
    """Read rows, with the checksums of their pages; a page without one, or rows that a footer leaves out, is damage.

    Numbers in lists are counted only once those of a row group are read: it is refused then, but was held.

    Args:
        file: open, and read by seeking.
        groups: numbers of the row groups; all by default.
        columns: names of the columns, of which those are read that there are; all by default.
        footer: of the file, where it is known.

    Raises:
        pa.ArrowException, OSError: it is no Parquet, is damaged, or its rows stand for more bytes than are believed.
    """
    reader = pq.ParquetFile(file, metadata=footer, page_checksum_verification=True)
    schema, footer = reader.schema_arrow, reader.metadata
    leaves = [leaf for leaf in map(footer.schema.column, range(len(footer.schema))) if _chosen(leaf.path, columns)]
    chosen = range(footer.num_row_groups) if groups is None else groups
    if groups is None:
        look_at_counts(footer)
    num_rows = {group: footer.row_group(group).num_rows for group in chosen}
    _refuse(sum(num_rows.values()) * sum(map(_width, leaves)))
    text = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    # By default Arrow reads a column of a row group at once.
    pages = SummedPages(file)
    reader = pq.ParquetFile(
        pages, metadata=footer, page_checksum_verification=True, read_dictionary=text, pre_buffer=False
    )
    has_flat = any(leaf.max_repetition_level == 0 for leaf in leaves)
    parts, size = [], 0
    # One at a time: Arrow does not read text in lists as it is written out of several row groups at once.
    # Of one without rows Arrow reads what is no page.
    for some in [[group] for group in chosen if num_rows[group]] or [[]]:
        pages.counts.clear()
        part = reader.read_row_groups(some, columns=columns, use_threads=False)
        if some and has_flat and min(pages.counts) != part.num_rows:
            raise pa.ArrowInvalid(f"{min(pages.counts)} values of a column for {part.num_rows} rows")
        size += sum(map(_written_out, part.columns))
        _refuse(size)
        parts.append(part.cast(_of(schema, part.column_names).with_metadata(part.schema.metadata)))
    return pa.concat_tables(parts)


def look_at_counts(footer: pq.FileMetaData) -> None:
    """Raise pa.ArrowInvalid unless the row groups of a file have as many rows as it: it says so in both places."""
    counted = sum(footer.row_group(group).num_rows for group in range(footer.num_row_groups))
    if counted != footer.num_rows:
        raise pa.ArrowInvalid(f"its footer counts {footer.num_rows} rows, and {counted} in row groups")


def told(footer: pq.FileMetaData) -> dict[bytes, bytes]:
    """What a footer tells beside where its rows are. It has no checksum, but Arrow writes all of this down twice.

    Raises:
        pa.ArrowInvalid: one differs from the other, or it counts its rows so, see `look_at_counts`.
    """
    look_at_counts(footer)
    metadata = dict(footer.metadata or {})
    packed = metadata.pop(b"ARROW:schema", None)
    if packed is not None:
        try:
            again = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(packed)))
            same = again.names == footer.schema.to_arrow_schema().names and dict(again.metadata or {}) == metadata
        except (ValueError, OSError, RuntimeError) as error:
            raise pa.ArrowInvalid(f"its schema makes no sense: {error}") from error
        if not same:
            raise pa.ArrowInvalid("what its footer tells is not what was written")
    return metadata


def _chosen(path: str, columns: Sequence[str] | None) -> bool:
    return columns is None or any(path == name or path.startswith(f"{name}.") for name in columns)


def _width(leaf: pq.ColumnSchema) -> int:
    if leaf.physical_type != "FIXED_LEN_BYTE_ARRAY":
        return _WIDTH
    # One that repeats is written once, as a text is, but Arrow does not read it so.
    if leaf.length > _LONGEST:
        raise pa.ArrowInvalid(f"its column {leaf.path} has values of {leaf.length} bytes, which no table has")
    return max(_WIDTH, int(leaf.length))


def _written_out(values: pa.Array | pa.ChunkedArray) -> int:
    """Bytes of values, each written out."""
    if isinstance(values, pa.ChunkedArray):
        return sum(map(_written_out, values.chunks))
    if isinstance(values, pa.DictionaryArray):
        lengths = pc.cast(pc.binary_length(values.dictionary), pa.int64())
        return int(pc.sum(lengths.take(values.indices)).as_py() or 0)
    if isinstance(values, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _written_out(values.values)
    if isinstance(values, pa.StructArray):
        return sum(_written_out(values.field(number)) for number in range(values.type.num_fields))
    return int(values.nbytes)


def _of(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """The types of some columns, text as text."""
    places = [schema.get_field_index(name) for name in columns]
    if min(places, default=0) < 0:
        raise pa.ArrowInvalid("a column comes twice")
    return pa.schema([schema.field(place) for place in places])


def _refuse(size: int) -> None:
    if size > MOST:
        raise pa.ArrowInvalid(f"its rows stand for more than {MOST >> 30} GB")
