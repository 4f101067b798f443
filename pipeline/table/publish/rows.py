"""Rows for a published set: out of published files that are rewritten, and out of the files of units."""

from __future__ import annotations

import functools
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.quantities import counted
from pipeline.storage import parquet
from pipeline.storage.parallel import in_order
from pipeline.storage.paths import join, redact
from pipeline.storage.read import RangeFile
from pipeline.table import layout
from pipeline.table.publish.difference import State
from pipeline.table.publish.manifest import Manifest, PublishedFile
from pipeline.table.schema import difference, lacking
from pipeline.table.unit_file import read_unit

READERS = 16
"""Unit files read at the same time, ahead of the writer."""
BUFFER = 2**20
"""Bytes of a published file that are read at once, at least."""
DAMAGED = (pa.ArrowException, EOFError, OSError, UnicodeDecodeError)
"""What a file raises that is no Parquet, or damaged."""
_AGAIN = "Delete it; the next run does that unit again."


def of_units(
    output: str, task: str, names: Sequence[str], states: Mapping[str, State], schema: pa.Schema
) -> Iterator[pa.Table]:
    """Rows of each unit in order, but for those that nobody is to see.

    Raises:
        UserError: a file is damaged, went away, or holds rows of another unit.
        StorageFault: it cannot be read.
    """

    def read(name: str) -> list[pa.Table]:
        uri = layout.unit_file(output, task, name)
        rows = fitted(read_unit(uri), schema, uri)
        if told := _strange(rows, name):
            raise UserError(f"{redact(uri)}: {told}. {_AGAIN}")
        old = states[name].hidden
        return [rows.filter(pc.invert(pc.is_in(rows.column("id"), pa.array(sorted(old))))) if old else rows]

    return in_order((functools.partial(read, name) for name in names), workers=READERS)


def _strange(rows: pa.Table, name: str) -> str | None:
    """Say what of some rows is not of a unit; None where they may be its. Some may be gone, see `rewrite`."""
    others = set(rows.column("unit").unique().to_pylist()) - {name}
    if others:
        return f"rows name another unit, {min(others)!r}"
    double = rows.num_rows - pc.count_distinct(rows.column("id")).as_py()
    return f"{counted(double, 'row')} more than recordings" if double else None


def of_places(folder: str, found: Manifest, places: Collection[int], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows of published files, a part at a time; raises as `of_file`, and where they are of units of other files."""
    units = found.units_of_files() if places else []
    for place in places:
        file = found.files[place]
        for part in of_file(folder, file, schema):
            if others := set(part.column("unit").unique().to_pylist()) - units[place]:
                raise UserError(
                    f"{redact(join(folder, file.path))}: holds rows of the unit {min(others)!r}, and the manifest says "
                    "of others. Delete it; the next publish makes it again."
                )
            yield part


def of_file(folder: str, file: PublishedFile, schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows of a published file, a part at a time.

    Raises:
        UserError: it is damaged or went away.
        StorageFault: it cannot be read.
    """
    uri = join(folder, file.path)
    try:
        for part in groups(uri, file.size):
            if told := lacking(part):
                raise UserError(f"{redact(uri)}: {told}. Delete it; the next publish makes it again.")
            yield fitted(part, schema, uri)
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: the file went away. Publish again.") from error
    except DAMAGED as error:
        raise UserError(
            f"{redact(uri)}: cannot be read as Parquet ({reason(error)}). Delete it; the next publish makes it again."
        ) from error


def groups(uri: str, size: int, *, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Rows of a published file, a row group at a time, with the checksums of their pages.

    Args:
        uri: the file.
        size: its bytes.
        columns: names of those that are read, of which there may be less; all by default.

    Raises:
        FileNotFoundError: it is not there.
        pa.ArrowException, EOFError, OSError, UnicodeDecodeError: it is no Parquet, or is damaged; see `DAMAGED`.
        StorageFault: it cannot be read.
    """
    with io.BufferedReader(RangeFile(uri, 0, size), BUFFER) as source:
        yield from groups_of(source, columns=columns)


def groups_of(source: BinaryIO, *, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Rows of an open file, as `groups`."""
    footer = pq.ParquetFile(source).metadata
    parquet.look_at_counts(footer)
    for group in range(footer.num_row_groups):
        yield parquet.read(source, groups=[group], columns=columns, footer=footer)


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def without(rows: pa.Table, column: str, values: Collection[str]) -> pa.Table:
    """Rows whose value is none of these."""
    return rows.filter(pc.invert(pc.is_in(rows.column(column), pa.array(sorted(values), pa.string()))))


def without_hidden(rows: pa.Table, hidden: Mapping[str, Collection[str]]) -> pa.Table:
    """Rows that are not among the hidden ones, which are told as ids by unit."""
    for unit in set(rows.column("unit").unique().to_pylist()) & hidden.keys():
        ids = pa.array(sorted(hidden[unit]), pa.string())
        gone = pc.and_(pc.equal(rows.column("unit"), unit), pc.is_in(rows.column("id"), ids))
        rows = rows.filter(pc.invert(gone))
    return rows


def fitted(rows: pa.Table, schema: pa.Schema, uri: str) -> pa.Table:
    """Rows with the columns of the set, null where their file is older than the column.

    Raises:
        UserError: a column has another type, is not of the set, or is missing that every file has.
    """
    if told := difference(rows.schema, schema):
        raise UserError(f"{redact(uri)}: {told}. verify names every file that does not fit")
    places = [rows.schema.get_field_index(name) for name in schema.names]
    columns = [
        rows.column(place) if place >= 0 else pa.nulls(rows.num_rows, field.type)
        for place, field in zip(places, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)
