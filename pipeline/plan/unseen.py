"""Which rows of the plan no reader may see."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.plan.columns import OldRow
from pipeline.plan.forgotten import forgotten_rows
from pipeline.plan.superseded import Superseded, hidden, superseded


def unseen(output: str, committed: Collection[str], changes: Sequence[Superseded] | None = None) -> set[OldRow]:
    """Rows that newer ones took the place of, and those of forgotten recordings.

    Args:
        output: folder of the table.
        committed: names of the committed units of a task.
        changes: what `superseded` gave, where it is known.

    Raises:
        UserError: the plan, or what says what is forgotten, is damaged.
        StorageFault: it cannot be read.
    """
    return hidden(superseded(output) if changes is None else changes, committed).union(forgotten_rows(output))
