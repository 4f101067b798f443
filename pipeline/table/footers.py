"""Rows and errors of committed units, from the footers of their files alone."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.plan.generations import UnitRef
from pipeline.storage.fetch import read_range
from pipeline.storage.listing import stat
from pipeline.storage.paths import redact
from pipeline.table import layout
from pipeline.table.commit import FOOTER
from pipeline.table.done import unit_sizes

_READERS = 16
"""Footers read at the same time."""

_TAIL = 32 * 1024
"""Bytes from the end that hold the footer of most files."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What some committed units come to; rows of content that has changed since are among them."""

    rows: int = 0
    errors: int = 0
    """Rows with an error."""
    damaged: tuple[str, ...] = ()
    """Files whose footer says nothing: no run wrote them so."""


def totals(output: str, task: str, units: Sequence[UnitRef]) -> Totals:
    """Add up what the footers of committed units say; a few kB are read of each.

    Raises:
        StorageFault, PermissionError: a file cannot be read.
    """
    if not units:
        return Totals()
    sizes = unit_sizes(output, task)
    files = [layout.unit_file(output, task, unit.name) for unit in units]
    with ThreadPoolExecutor(_READERS, thread_name_prefix="footers") as pool:
        found = list(pool.map(counts, files, [sizes.get(unit.name, 0) for unit in units]))
    return Totals(
        rows=sum(each[0] for each in found if each),
        errors=sum(each[1] for each in found if each),
        damaged=tuple(redact(file) for file, each in zip(files, found, strict=True) if not each),
    )


def counts(file: str, size: int) -> tuple[int, int] | None:
    """Rows and errors of one file; None where its footer does not say.

    Args:
        file: its URI.
        size: bytes that a listing said; where they do not fit, the file may have been rewritten since, and is
            looked at anew.
    """
    found = _counts(file, size)
    if found is not None:
        return found
    try:
        now = stat(file).size
    except FileNotFoundError:
        return None
    return None if now == size else _counts(file, now)


def _counts(file: str, size: int) -> tuple[int, int] | None:
    try:
        told = _footer(file, size)
        return int(told[f"{FOOTER}rows".encode()]), int(told[f"{FOOTER}errors".encode()])
    except (pa.ArrowException, KeyError, ValueError, FileNotFoundError, EOFError):
        return None


def _footer(file: str, size: int) -> Mapping[bytes, bytes]:
    """Metadata at the end of a file. A Parquet footer is found from the end, so the end alone can be parsed."""
    for tail in (min(size, _TAIL), size):
        with contextlib.suppress(pa.ArrowInvalid):
            return pq.read_metadata(pa.BufferReader(read_range(file, size - tail, tail))).metadata or {}
    return {}
