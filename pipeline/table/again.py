"""Rows with an error that are to be tried again: which there are, and the plan for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.plan.again import Wanted, plan_again
from pipeline.plan.columns import OldRow
from pipeline.plan.store import Written
from pipeline.storage.paths import redact
from pipeline.table.failures import reason
from pipeline.table.read import read_table

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Failed:
    """Rows of some tasks that ended with an error."""

    rows: Wanted
    reasons: Mapping[str, Mapping[str, int]]
    """Task -> `stage.type` -> rows."""
    seen: frozenset[str]
    """Reasons that rows have, asked for or not."""


def failed(output: str, tasks: Sequence[str], *, reasons: Collection[str] = (), ids: Collection[str] = ()) -> Failed:
    """Rows with an error that readers see; of all reasons and recordings where none are named.

    Raises:
        UserError: an id is named of which no such row is there.
        StorageFault: the table cannot be read.
    """
    rows: dict[str, list[OldRow]] = {}
    seen: set[str] = set()
    counts: dict[str, Counter[str]] = {}
    for task in tasks:
        rows[task], counts[task] = [], Counter()
        broken = pc.field("error").is_valid()
        for batch in read_table(output, task=task).batches(columns=["unit", "id", "error"], filter=broken):
            for row in batch.to_pylist():
                told = ".".join(reason(row["error"]))
                seen.add(told)
                if (not reasons or told in reasons) and (not ids or row["id"] in ids):
                    rows[task].append((row["unit"], row["id"]))
                    counts[task][told] += 1
    missing = sorted(set(ids) - {id for each in rows.values() for _, id in each})
    if missing:
        more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
        told = ", ".join(map(repr, missing[:_SHOWN])) + more
        raise UserError(f"{redact(output)}: nothing was planned, for no such row has an error: {told}.")
    return Failed(rows, counts, frozenset(seen))


def try_again(output: str, found: Failed) -> Written:
    """Plan them again, each for the tasks in which it has failed; raises as `plan_again`."""
    return plan_again(output, {task: rows for task, rows in found.rows.items() if rows})
