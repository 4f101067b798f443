"""What a run leaves behind: what is pending of each task, what its table comes to, whether it is claimed complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline import plan, table
from pipeline.errors import StorageFault, UserError
from pipeline.late import late_receipts
from pipeline.plan import Planned, UnitRef
from pipeline.table import Count, Standing, Totals
from pipeline.tally import Tally


@dataclass(frozen=True, slots=True)
class Outcome:
    """The table after a run."""

    pending: Mapping[str, Sequence[UnitRef]]
    """By task; all that was pending before, where the storage does not tell."""
    totals: Mapping[str, Totals]
    trouble: str = ""
    """What is wrong with it, as the end of `stopped …`."""

    @property
    def damaged(self) -> tuple[str, ...]:
        """Files of units that no run wrote so."""
        return tuple(file for each in self.totals.values() for file in each.damaged)


def standing(output: str, names: Sequence[str], units: Sequence[UnitRef]) -> dict[str, Standing]:
    """Which units are committed, by task; one listing each."""
    return {name: table.standing(output, name, units) for name in names}


def outcome(output: str, run: str, planned: Planned, before: Mapping[str, Standing], tally: Tally | None) -> Outcome:
    """Look at the table after the work, and claim complete what is.

    Nothing is read of a unit that an earlier run has counted, or this one has committed.

    Args:
        output: folder of the table.
        run: its name.
        planned: the plan before the work.
        before: how the tasks stood before the work.
        tally: of the work; None where there was none to do, so that all stands as it did. What the run has committed
            without hearing so, for it was stopped, is counted there.
    """
    units = planned.units
    known = {name: table.read_known(output, name) for name in before}
    try:
        now = standing(output, tuple(before), units) if tally else before
        if tally:
            _count_late(output, run, before, now, tally)
        totals = {name: _totals(output, name, each, planned.changes, known[name], tally) for name, each in now.items()}
        complete = [name for name, each in now.items() if not each.pending and not totals[name].damaged]
        if complete:
            table.mark_listed(output, complete, generation=max((unit.generation for unit in units), default=0))
    except (StorageFault, UserError) as fault:
        return Outcome(
            {name: each.pending or units[:1] for name, each in before.items()},
            {name: Totals(_with_committed(known[name], each.sizes, name, tally)) for name, each in before.items()},
            f"by a fault: {fault}",
        )
    found = Outcome({name: each.pending for name, each in now.items()}, totals)
    if not found.damaged:
        return found
    file, *more = found.damaged
    also = f" and {len(more):,} more" if more else ""
    left = {name: each.pending or (units[:1] if totals[name].damaged else ()) for name, each in now.items()}
    return Outcome(left, totals, f"short of its end: {file}{also} is damaged; delete it and run again")


def _count_late(
    output: str, run: str, before: Mapping[str, Standing], now: Mapping[str, Standing], tally: Tally
) -> None:
    for name, each in now.items():
        new = tally.unheard(name, each.sizes.keys() - before[name].sizes.keys())
        for receipt in late_receipts(output, name, run, {unit: each.sizes[unit] for unit in new}):
            tally.record_late(receipt)


def _totals(
    output: str,
    name: str,
    now: Standing,
    changes: Sequence[plan.Superseded],
    known: Mapping[str, Count],
    tally: Tally | None,
) -> Totals:
    hidden = plan.unseen(output, now.sizes, changes)
    found = table.totals(output, name, now.sizes, hidden, _with_committed(known, now.sizes, name, tally))
    if found.units != known:
        table.write_known(output, name, found.units)
    return found


def _with_committed(
    known: Mapping[str, Count], sizes: Mapping[str, int], name: str, tally: Tally | None
) -> dict[str, Count]:
    """What is known of units, those that this run has committed included."""
    done = tally.committed[name] if tally else {}
    return {**{unit: count for unit, count in known.items() if unit in sizes}, **done}
