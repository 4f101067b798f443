"""Rows of Parquet files, of no more bytes than are believed: a few hundred bytes of a file may stand for terabytes.

A value that repeats is written once, with a number that says how often. So the size of the rows is worked out from the
footer before anything is decoded; text of which the footer leaves that open is read as it is written, and measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

MOST = 2 * 2**30
"""Bytes of rows that are read at once; those of a unit, or of a row group of a plan, take a few megabytes."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
"""Bytes of a value."""
_OFFSET = 4
"""Bytes of where a text begins, or of a number that stands for it."""


def read(
    file: BinaryIO | pa.NativeFile,
    *,
    groups: Sequence[int] | None = None,
    columns: Sequence[str] | None = None,
    footer: pq.FileMetaData | None = None,
) -> pa.Table:
    """Read rows, with the checksums of their pages.

    Args:
        file: open, and read by seeking.
        groups: numbers of the row groups; all by default.
        columns: names of the columns; all by default.
        footer: of the file, where it is known.

    Raises:
        pa.ArrowException, OSError: it is no Parquet, is damaged, or its rows stand for more bytes than are believed.
    """
    reader = pq.ParquetFile(file, metadata=footer, page_checksum_verification=True)
    schema, footer = reader.schema_arrow, reader.metadata
    chosen = range(footer.num_row_groups) if groups is None else groups
    chunks = [chunk for group in chosen for chunk in _chunks(footer, group, columns)]
    _refuse(sum(chunk.least for chunk in chunks))
    if doubtful := _doubtful(chunks):
        reader = pq.ParquetFile(file, metadata=footer, page_checksum_verification=True, read_dictionary=doubtful)
    found = reader.read_row_groups(chosen, columns=columns, use_threads=False)
    _refuse(sum(map(_written_out, found.columns)))
    return found.cast(_of(schema, found)) if doubtful else found


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What the footer says of a column in a row group."""

    path: str
    least: int
    """Bytes that its values take at least."""
    most: int
    """Bytes that they take at most; 0 where `least` is all."""


def _chunks(footer: pq.FileMetaData, group: int, columns: Sequence[str] | None) -> Iterator[_Chunk]:
    row_group = footer.row_group(group)
    for number in range(row_group.num_columns):
        chunk = row_group.column(number)
        path, values, written = chunk.path_in_schema, chunk.num_values, chunk.total_uncompressed_size
        if columns is not None and not any(path == name or path.startswith(f"{name}.") for name in columns):
            continue
        if chunk.physical_type == "BYTE_ARRAY":
            yield _Chunk(path, max(values * _OFFSET, written), values * written)
        else:
            width = _WIDTHS.get(chunk.physical_type) or footer.schema.column(number).length
            yield _Chunk(path, max(values * width, written), 0)


def _doubtful(chunks: Sequence[_Chunk]) -> list[str]:
    """Columns that may stand for more than is believed: without them all is well."""
    found: dict[str, None] = {}
    left = sum(chunk.most for chunk in chunks)
    for chunk in sorted(chunks, key=lambda chunk: chunk.most, reverse=True):
        if left <= MOST:
            break
        found[chunk.path] = None
        left -= chunk.most
    return list(found)


def _written_out(values: pa.Array | pa.ChunkedArray) -> int:
    """Bytes of values, each written out."""
    if isinstance(values, pa.ChunkedArray):
        return sum(map(_written_out, values.chunks))
    if isinstance(values, pa.DictionaryArray):
        lengths = pc.cast(pc.binary_length(values.dictionary), pa.int64())
        return int(pc.sum(lengths.take(values.indices)).as_py() or 0)
    if isinstance(values, pa.ListArray):
        return _written_out(values.values)
    if isinstance(values, pa.StructArray):
        return sum(_written_out(values.field(number)) for number in range(values.type.num_fields))
    return int(values.nbytes)


def _of(schema: pa.Schema, found: pa.Table) -> pa.Schema:
    return pa.schema([schema.field(name) for name in found.schema.names], metadata=found.schema.metadata)


def _refuse(size: int) -> None:
    if size > MOST:
        raise pa.ArrowInvalid(f"its rows stand for more than {MOST >> 30} GB")
