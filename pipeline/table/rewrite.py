"""Take rows out of the files of committed units: each is put anew, whole, under the name that it has.

A reader sees the old file or the new one, and the unit stays committed throughout, even where no row is left. Who
rewrites looks again afterwards, so that of two who do it at once the last one leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.plan.generations import UnitRef
from pipeline.storage.put import put
from pipeline.table import layout
from pipeline.table.commit import FOOTER, encode
from pipeline.table.done import unit_sizes
from pipeline.table.footers import counts
from pipeline.table.holding import Gone
from pipeline.table.unit_file import read_unit

REWRITTEN = f"{FOOTER}rewritten"
"""Key of the footer that says when rows were taken out last."""
_WORKERS = 8
"""Files looked at, or put, at the same time."""


@dataclass(frozen=True, slots=True)
class Burden:
    """Rows in one file that nobody should see."""

    uri: str
    rows: int
    ids: frozenset[str]
    """Whose rows may go; the file may hold less of them."""


def burdens(output: str, task: str, units: Collection[UnitRef], gone: Gone) -> list[Burden]:
    """Files of committed units that still hold rows which they can do without.

    Raises:
        UserError: a file is damaged.
        StorageFault: one cannot be read.
    """
    sizes = unit_sizes(output, task) if gone.units else {}
    asked = [unit for unit in units if unit.name in sizes and gone.of_unit(unit.name)]
    if not asked:
        return []

    def look(unit: UnitRef) -> Burden:
        uri, spare = layout.unit_file(output, task, unit.name), gone.of_unit(unit.name)
        told = counts(uri, sizes[unit.name])
        # The footer alone tells that a file has been cleaned.
        held = 0 if told and told[0] <= unit.count - len(spare) else _held(read_unit(uri), spare)
        return Burden(uri, held, spare)

    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="burdens") as pool:
        return [each for each in pool.map(look, asked) if each.rows]


def rewrite_all(found: Iterable[Burden]) -> int:
    """Rewrite files without the rows that burden them, several at a time; returns how many rows went."""
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="rewrite") as pool:
        return sum(pool.map(lambda each: rewrite(each.uri, each.ids), found))


def rewrite(uri: str, ids: Collection[str]) -> int:
    """Take rows out of one unit's file, again until a look finds none of them; returns how many went.

    Raises:
        UserError: the file is damaged or may not be written.
        StorageFault: it cannot be read or written; it holds what it did.
    """
    removed = 0
    while True:
        table = read_unit(uri)
        held = _held(table, ids)
        if not held:
            return removed
        put(uri, encode(_without(table, ids), {"rewritten": datetime.now(UTC).isoformat(timespec="seconds")}))
        removed += held


def _held(table: pa.Table, ids: Collection[str]) -> int:
    return sum(id in ids for id in table.column("id").to_pylist())


def _without(table: pa.Table, ids: Collection[str]) -> pa.Table:
    return table.filter(pc.invert(pc.is_in(table.column("id"), value_set=pa.array(sorted(ids), pa.string()))))
