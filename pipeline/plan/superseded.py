"""Which rows of the plan later ones took the place of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
    found = generations.of_each(lambda each: list(_of_generation(each)), generations.opened(output))
    return [change for each in found for change in each]


def _of_generation(generation: generations.Generation) -> Iterator[Superseded]:
    for group in range(generation.footer.num_row_groups):
        olds = generation.row_group(group, ("supersedes",)).column("supersedes")
        if olds.null_count == len(olds):
            continue
        table = generation.row_group(group, ("unit", "id"))
        units, ids = table.column("unit"), table.column("id")
        for row in np.flatnonzero(olds.is_valid().to_numpy()).tolist():
            new = (units[row].as_py(), ids[row].as_py())
            for old in olds[row].as_py():
                yield Superseded(new, (old["unit"], old["id"]))


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
