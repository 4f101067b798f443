"""Which rows of the plan later ones took the place of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.plan import generations
from pipeline.plan.columns import OldRow


@dataclass(frozen=True, slots=True)
class Superseded:
    """One row that took the place of an older one."""

    new: OldRow
    """Unit and id of the row that is newer."""
    old: OldRow
    """Unit and id of the row that it takes the place of."""


def superseded(output: str) -> list[Superseded]:
    """All of them, in plan order; few, so they fit in memory.

    Raises:
        UserError: a generation is missing or damaged.
        StorageFault: the plan cannot be read.
    """
    return generations.of_row_groups(output, changes_of)


def changes_of(generation: generations.Generation, group: int) -> list[Superseded]:
    """Those whose newer row is in one row group of the plan."""
    olds = generation.row_group(group, ("supersedes",)).column("supersedes")
    if olds.null_count == len(olds):
        return []
    table = generation.row_group(group, ("unit", "id"))
    units, ids = table.column("unit"), table.column("id")
    return [
        Superseded((units[row].as_py(), ids[row].as_py()), (old["unit"], old["id"]))
        for row in np.flatnonzero(olds.is_valid().to_numpy()).tolist()
        for old in olds[row].as_py()
    ]


def hidden(changes: Sequence[Superseded], committed: Collection[str]) -> set[OldRow]:
    """Rows that must not be shown, because a newer one of the same recording is committed. Pure.

    An old row stays visible until then, so that no recording is missing while its new version is pending.

    Args:
        changes: what `superseded` gave, in plan order.
        committed: names of the committed units.
    """
    found: set[OldRow] = set()
    for each in reversed(changes):
        if each.new[0] in committed or each.new in found:
            found.add(each.old)
    return found
