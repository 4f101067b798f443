"""Which of its planned rows a unit's file must hold, which it may lack, and which it must not hold. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.plan.columns import OldRow

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gone:
    """Rows of one task that readers do not see, as ids by unit."""

    superseded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """A newer row of the same recording is committed: a file may hold them until `vacuum` takes them out."""
    forgotten: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """A file must not hold them; of those that are superseded too it is one of these."""
    replaced: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """A newer row of the same recording is planned, committed or not: a file that was rewritten may lack them, for the
    newer row may have been lost since."""

    @classmethod
    def of(
        cls, superseded: Iterable[OldRow], forgotten: Iterable[OldRow] = (), replaced: Iterable[OldRow] = ()
    ) -> Gone:
        """From rows as the plan names them."""
        return cls(by_unit(superseded), by_unit(forgotten), by_unit(replaced))

    @property
    def units(self) -> set[str]:
        """Units that have such rows."""
        return {*self.superseded, *self.forgotten}

    def of_unit(self, unit: str) -> frozenset[str]:
        """Ids that the file of a unit can do without."""
        return self.superseded.get(unit, _NONE) | self.forgotten.get(unit, _NONE)

    def spare(self, unit: str, *, rewritten: bool) -> frozenset[str]:
        """Ids that the file of a unit may lack, given whether rows were ever taken out of it."""
        return self.of_unit(unit) | (self.replaced.get(unit, _NONE) if rewritten else _NONE)

    def barred(self, unit: str) -> frozenset[str]:
        """Ids that the file of a unit must not hold."""
        return self.forgotten.get(unit, _NONE)

    def expected(
        self, unit: str, planned: Sequence[str], held: Collection[str], *, rewritten: bool = False
    ) -> list[str]:
        """Ids that a file must hold, in order, given those that it does: rows that may be gone count where they are.

        Args:
            unit: its name.
            planned: ids of its recordings, in the plan's order.
            held: ids of the rows of its file.
            rewritten: whether rows were ever taken out of it.
        """
        spare = self.spare(unit, rewritten=rewritten)
        return [id for id in planned if id not in spare or id in held]


def by_unit(rows: Iterable[OldRow]) -> dict[str, frozenset[str]]:
    """Ids of some rows by their units."""
    found: dict[str, set[str]] = {}
    for unit, id in rows:
        found.setdefault(unit, set()).add(id)
    return {unit: frozenset(ids) for unit, ids in found.items()}
