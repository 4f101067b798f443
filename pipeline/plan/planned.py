"""The plan as a run finds it: its units, and which of their rows no reader will see once all is done."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.corpus import Seconds
from pipeline.plan import generations
from pipeline.plan.columns import OldRow
from pipeline.plan.forgotten import forgotten_rows
from pipeline.plan.generations import UnitRef
from pipeline.plan.store import units_of
from pipeline.plan.superseded import Superseded, changes_of, hidden


@dataclass(frozen=True, slots=True)
class Planned:
    """What is planned by now."""

    units: Sequence[UnitRef]
    """In plan order."""
    changes: Sequence[Superseded]
    forgotten: frozenset[OldRow]
    """Planned rows that nobody may see any more; they are not done either."""

    @property
    def superseded(self) -> frozenset[OldRow]:
        """Rows that newer ones take the place of."""
        return frozenset(each.old for each in self.changes)

    @property
    def recordings(self) -> int:
        """Rows that the table will have."""
        return sum(unit.count for unit in self.units) - len(self.superseded | self.forgotten)

    @property
    def passing(self) -> Mapping[str, int]:
        """Unit -> rows of it that are done and not shown, for newer ones take their place."""
        return Counter(unit for unit, _ in self.superseded - self.forgotten)

    def old(self, task: str) -> Mapping[str, Collection[str]]:
        """Unit -> ids of its rows that newer ones take the place of which the task has to do too."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for unit, id in hidden(self.changes, {each.name for each in self.units if each.concerns(task)}):
            found[unit].add(id)
        return found

    def shown(self, chosen: Sequence[UnitRef]) -> int:
        """Rows that the table will have of some units."""
        unseen = Counter(unit for unit, _ in self.superseded | self.forgotten)
        return sum(unit.count - unseen[unit.name] for unit in chosen)

    def seconds(self, output: str) -> Seconds:
        """Planned audio of the recordings; reads the row groups of the plan that have other rows too."""
        unseen = self.superseded | self.forgotten
        names = {unit for unit, _ in unseen}
        mixed = {(unit.generation, unit.row_group) for unit in self.units if unit.name in names}
        whole = sum(unit.seconds for unit in self.units if (unit.generation, unit.row_group) not in mixed)
        return whole + sum(generations.of_each(lambda place: _seconds(output, *place, unseen), sorted(mixed)))


def read_planned(output: str) -> Planned:
    """Everything planned so far.

    Raises:
        UserError: a generation is missing or damaged.
        StorageFault: the plan cannot be read.
    """
    parts = generations.of_row_groups(output, lambda each, group: [(units_of(each, group), changes_of(each, group))])
    units, changes = [unit for some, _ in parts for unit in some], [change for _, some in parts for change in some]
    return Planned(units, changes, frozenset(forgotten_rows(output)))


def _seconds(output: str, generation: int, row_group: int, unseen: Collection[OldRow]) -> Seconds:
    """Planned audio of one row group, without some of its rows."""
    table = generations.open_generation(output, generation).row_group(row_group, ("unit", "id", "seconds"))
    units, ids, seconds = (table.column(name).to_pylist() for name in ("unit", "id", "seconds"))
    shown = (long for unit, id, long in zip(units, ids, seconds, strict=True) if (unit, id) not in unseen)
    return float(sum(shown))
