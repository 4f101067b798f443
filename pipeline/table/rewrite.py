"""Take rows out of the files of committed units: each is put anew, whole, under the name that it has.

A reader sees the old file or the new one, and the unit stays committed throughout, even where no row is left. Whoever
rewrites takes out what is forgotten too, and looks again afterwards, so that of two who do it at once the last one
leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.plan.forgotten import forgotten
from pipeline.plan.generations import UnitRef
from pipeline.storage.put import put
from pipeline.table import layout
from pipeline.table.done import unit_sizes
from pipeline.table.encode import REWRITTEN, encode
from pipeline.table.footers import counts
from pipeline.table.holding import Gone
from pipeline.table.unit_file import read_unit
from pipeline.threads import threads

_WORKERS = 8
"""Files looked at, or put, at the same time."""


@dataclass(frozen=True, slots=True)
class Burden:
    """Rows in one file that nobody should see."""

    uri: str
    task: str
    rows: int
    ids: frozenset[str]
    """Whose rows may go; the file may hold less of them."""


def burdens(output: str, task: str, units: Collection[UnitRef], gone: Gone) -> list[Burden]:
    """Files of committed units that still hold rows which they can do without.

    Raises:
        UserError: a file is damaged.
        StorageFault: one cannot be read.
    """
    sizes = unit_sizes(output, task) if gone.superseded else {}
    # Units that must not hold a row are looked for by their names: a listing, on some stores, lacks the newest.
    asked = [unit for unit in units if gone.barred(unit.name) or (unit.name in sizes and gone.of_unit(unit.name))]
    if not asked:
        return []

    def look(unit: UnitRef) -> Burden:
        uri, spare = layout.unit_file(output, task, unit.name), gone.of_unit(unit.name)
        told = None if gone.barred(unit.name) else counts(uri, sizes[unit.name])
        # The footer alone tells that a file has been cleaned of what it may hold.
        clean = told is not None and told[0] <= unit.count - len(spare)
        table = None if clean else _read(uri)
        held = 0 if table is None else sum(id in spare for id in table.column("id").to_pylist())
        return Burden(uri, task, held, spare)

    with threads(_WORKERS, "burdens") as pool:
        return [each for each in pool.map(look, asked) if each.rows]


def rewrite_all(output: str, found: Iterable[Burden]) -> int:
    """Rewrite files without the rows that burden them, several at a time; returns how many rows went."""
    with threads(_WORKERS, "rewrite") as pool:
        return sum(pool.map(lambda each: rewrite(output, each.uri, each.ids), found))


def rewrite(output: str, uri: str, ids: Collection[str] = ()) -> int:
    """Take rows out of one unit's file, again until a look finds none of them; returns how many went.

    Args:
        output: folder of the table, which says what is forgotten: those rows go whatever `ids` are.
        uri: the file.
        ids: whose rows may go besides.

    Raises:
        UserError: the file is damaged or may not be written.
        StorageFault: it cannot be read or written; it holds what it did.
    """
    removed = 0
    while True:
        # In this order: what is forgotten after this look is looked for by whoever forgets it.
        gone, table = forgotten(output), _read(uri)
        if table is None:
            return removed
        stays = [not each for each in gone.mask(table)]
        if ids:
            stays = [each and id not in ids for each, id in zip(stays, table.column("id").to_pylist(), strict=True)]
        if all(stays):
            return removed
        when = datetime.now(UTC).isoformat(timespec="seconds")
        put(uri, encode(table.filter(pa.array(stays, pa.bool_())), {REWRITTEN: when}))
        removed += stays.count(False)


def _read(uri: str) -> pa.Table | None:
    """Rows of a unit's file; None where it is not there."""
    try:
        return read_unit(uri)
    except UserError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
