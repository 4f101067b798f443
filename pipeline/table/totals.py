"""Rows and errors of a task's whole table, added up from what earlier runs have counted and the footers of the rest.

`OUTPUT/_totals/<task>.parquet` says what each committed unit comes to, put while a run goes on and at its end. It is a
cache and never the truth: what it lacks, what has another size by now, or of which newer rows have come is counted
again, and all where it is damaged.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import StorageFault, UserError
from pipeline.plan.columns import OldRow
from pipeline.storage import parquet
from pipeline.storage.paths import redact
from pipeline.storage.put import put
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import at_once
from pipeline.table import layout
from pipeline.table.footers import counts
from pipeline.table.unit_file import read_unit
from pipeline.threads import threads

_READERS = 16
"""Units counted at the same time."""
_VERSION = {b"voxmill.totals": b"2"}
_SCHEMA = pa.schema(
    [
        pa.field("unit", pa.binary(16)),
        *(pa.field(name, pa.int64()) for name in ("size", "hidden", "rows", "errors")),
    ],
    metadata=_VERSION,
)


class Count(NamedTuple):
    """What one unit comes to."""

    size: int
    """Bytes of its file when it was counted."""
    hidden: int
    """Stands for the ids of the rows that newer ones had taken the place of by then, which are not among `rows`."""
    rows: int
    errors: int
    """Rows with an error."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What the committed units of a task come to; of a recording that has changed, only the newest row counts."""

    units: Mapping[str, Count]
    damaged: tuple[str, ...] = ()
    """Files that say nothing of it: no run wrote them so."""

    @property
    def rows(self) -> int:
        """Rows of all units."""
        return sum(each.rows for each in self.units.values())

    @property
    def errors(self) -> int:
        """Rows with an error of all units."""
        return sum(each.errors for each in self.units.values())


def totals(
    output: str, task: str, sizes: Mapping[str, int], hidden: Collection[OldRow], known: Mapping[str, Count]
) -> Totals:
    """Count committed units; only those are read that are not known as they are.

    Args:
        output: folder of the table.
        task: name of the task's folder below it.
        sizes: bytes of the file of each committed unit.
        hidden: unit and id of rows that newer ones have taken the place of.
        known: what is known of units, whatever their state was then.

    Raises:
        StorageFault: a file cannot be read.
        UserError: one may not be read, for it is archived or another's.
    """
    old: defaultdict[str, set[str]] = defaultdict(set)
    for unit, id in hidden:
        old[unit].add(id)
    found, unknown = {}, []
    for unit, size in sizes.items():
        count = known.get(unit)
        if count is not None and (count.size, count.hidden) == (size, _standing_for(old.get(unit, ()))):
            found[unit] = count
        else:
            unknown.append(unit)
    files = [layout.unit_file(output, task, unit) for unit in unknown]
    with threads(_READERS, "totals") as pool:
        told = list(pool.map(_count, files, (sizes[unit] for unit in unknown), (old.get(u, set()) for u in unknown)))
    found |= {unit: count for unit, count in zip(unknown, told, strict=True) if count}
    return Totals(found, tuple(redact(file) for file, count in zip(files, told, strict=True) if not count))


def _count(file: str, size: int, hidden: set[str]) -> Count | None:
    told = counts(file, size)
    if told is None or not hidden:
        return None if told is None else Count(size, 0, *told)
    try:
        rows = read_unit(file)
        ids, failed = rows.column("id").to_pylist(), rows.column("error").is_valid().to_pylist()
        shown = [error for id, error in zip(ids, failed, strict=True) if id not in hidden]
    except (UserError, KeyError, TypeError):
        # Of whole Parquet too, whose columns are not there, twice or of lists.
        return None
    return Count(size, _standing_for(hidden), len(shown), sum(shown))


def _standing_for(ids: Collection[str]) -> int:
    """63 bits of what stands for some ids: their number does not tell that others are hidden by now."""
    if not ids:
        return 0
    told = "".join(f"{id}\0" for id in sorted(ids)).encode()
    return int.from_bytes(hashlib.blake2b(told, digest_size=8).digest(), "big") >> 1


def read_known(output: str, task: str) -> dict[str, Count]:
    """What earlier runs have counted; nothing where the file is not there, or says nothing that this release reads."""
    with contextlib.suppress(StorageFault, UserError, OSError):
        return _told(layout.totals_file(output, task))
    return {}


def add_known(output: str, task: str, found: Mapping[str, Count]) -> None:
    """Put what a run has counted so far beside what others have; storage that refuses it is not waited for."""
    # What could not be read is not put in place of.
    with contextlib.suppress(StorageFault, UserError, OSError), at_once():
        write_known(output, task, {**_told(layout.totals_file(output, task)), **found})


def _told(file: str) -> dict[str, Count]:
    try:
        data = read_bytes(file)
    except FileNotFoundError:
        return {}
    with contextlib.suppress(OSError, ValueError, KeyError, pa.ArrowException):
        rows = parquet.read(pa.BufferReader(data))
        sane = all(not column.null_count for column in rows.columns)
        if sane and rows.schema.equals(_SCHEMA) and (rows.schema.metadata or {}).items() >= _VERSION.items():
            units, *numbers = (rows.column(name).to_pylist() for name in _SCHEMA.names)
            return {unit.hex(): Count(*told) for unit, *told in zip(units, *numbers, strict=True)}
    return {}


def write_known(output: str, task: str, found: Mapping[str, Count]) -> None:
    """Leave for the next run what was counted; that storage refuses it costs that run its time, and nothing else."""
    columns = [
        pa.array([bytes.fromhex(unit) for unit in found], pa.binary(16)),
        *(pa.array([each[place] for each in found.values()], pa.int64()) for place in range(len(Count._fields))),
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(columns, schema=_SCHEMA), sink, compression="zstd", write_page_checksum=True)
    with contextlib.suppress(StorageFault, UserError):
        put(layout.totals_file(output, task), bytes(sink.getvalue().to_pybytes()))
