"""Forget recordings: no row, vector or text of them stays below the output, and nothing hears them again.

First their digests are written down (see `plan.forgotten`), from then on no reader shows them. Everything after that
may break off and is done again by the same call, or by one without ids.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.plan import generations
from pipeline.plan.columns import OldRow
from pipeline.plan.emptying import empty_texts, texts
from pipeline.plan.forgotten import COLUMNS, Forgotten, digest, forgotten, remember
from pipeline.plan.generations import Generation
from pipeline.plan.similar import similar
from pipeline.plan.spans import whole_id
from pipeline.plan.store import units
from pipeline.storage.paths import redact
from pipeline.storage.put import delete
from pipeline.table.drafts import Telling, telling
from pipeline.table.holding import Gone
from pipeline.table.presence import require_plan, require_table
from pipeline.table.publish import withdraw
from pipeline.table.rewrite import Burden, burdens, rewrite_all
from pipeline.table.task import tasks
from pipeline.table.traces import Names, clean_runs, remove_scores, told_by_runs, told_by_scores

SUGGESTIONS = 3
"""Ids shown for one that is not planned."""
_SHOWN = 5
"""Unknown ids shown."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Everything below an output that tells of some recordings."""

    rows: tuple[OldRow, ...]
    """Planned ones: each version of a recording has one, and each span."""
    names: Names
    burdens: tuple[Burden, ...]
    """Files of units that hold rows of them."""
    texts: int
    """Planned rows with reference text or metadata."""
    runs: tuple[str, ...]
    """Manifests of runs that name one."""
    scores: tuple[str, ...]
    """Folders of scores that name one."""
    drafts: tuple[Telling, ...]
    """What killed processes left that holds one, or may."""

    @property
    def by_task(self) -> Mapping[str, tuple[int, int]]:
        """Rows, and files that hold them, of each task."""
        rows: Counter[str] = Counter()
        for each in self.burdens:
            rows[each.task] += each.rows
        return {task: (count, sum(each.task == task for each in self.burdens)) for task, count in rows.items()}


@dataclass(frozen=True, slots=True)
class Taken:
    """What `forget` came to, besides what `look` had found."""

    published: tuple[str, ...]
    """URIs of the published files that are gone."""
    drafts: tuple[Telling, ...]
    """Those that are left, for a process may be at work on them."""


def look(output: str, ids: Collection[str]) -> Traces:
    """Find what tells of recordings, and of those that are forgotten already; changes nothing.

    Raises:
        UserError: there is no table, or an id is not planned; some that are like it are named.
        StorageFault: something cannot be read.
    """
    require_table(output)
    require_plan(output)
    gone = Forgotten(forgotten(output).digests | Forgotten.of(ids).digests)
    rows, names = search(output, gone, ids)
    return Traces(
        rows=rows,
        names=names,
        burdens=tuple(_burdens(output, rows)),
        texts=texts(output, gone),
        runs=tuple(told_by_runs(output, names)),
        scores=tuple(told_by_scores(output, names)),
        drafts=tuple(telling(output, gone, names)),
    )


def forget(output: str, ids: Collection[str], traces: Traces) -> Taken:
    """Take everything that tells of recordings out of a table, and keep it out.

    Args:
        output: folder of the table.
        ids: of the recordings; none goes on with what was begun.
        traces: what `look` found.

    Raises:
        StorageFault, UserError: storage failed; no reader shows the recordings any more, and the same call goes on.
    """
    if ids:
        remember(output, ids)
    empty_texts(output)
    # Again, because an attempt that was at work may have committed since; later ones look for themselves.
    while left := _burdens(output, traces.rows):
        rewrite_all(output, left)
    published = withdraw(output, sorted({id for _, id in traces.rows}))
    clean_runs(traces.runs, traces.names)
    remove_scores(traces.scores)
    # Last, because what was being written when it began may have died since.
    found = telling(output, forgotten(output), traces.names)
    for each in found:
        if each.settled:
            delete(each.uri)
    return Taken(tuple(published), tuple(each for each in found if not each.settled))


def _burdens(output: str, rows: Sequence[OldRow]) -> list[Burden]:
    if not rows:
        return []
    planned, gone = units(output), Gone.of((), rows)
    return [each for task in tasks(output) for each in burdens(output, task, planned, gone)]


def search(output: str, gone: Forgotten, ids: Collection[str] = ()) -> tuple[tuple[OldRow, ...], Names]:
    """Planned rows that are to be forgotten, and what a text may name them by.

    Raises:
        UserError: one of `ids` is not planned.
    """
    rows: list[OldRow] = []
    names: set[str] = set()
    missing = {digest(id): id for id in ids}
    opened = generations.opened(output) if gone else []
    for row in itertools.chain(*generations.of_each(lambda each: _planned(each, gone), opened)):
        rows.append((row["unit"], row["id"]))
        # Spans are scored together, by the id of the whole.
        ids_of = {row["id"]} | ({whole_id(row["id"])} if row["spans"] > 1 else set())
        names |= ids_of | ({row["source"]} if row["member"] is None else set())
        for id in ids_of | {row["recording"]}:
            missing.pop(digest(id), None)
    if missing:
        raise _unknown(output, sorted(missing.values()))
    return tuple(rows), Names(names)


def _planned(generation: Generation, gone: Forgotten) -> list[dict[str, Any]]:
    """Rows of a generation that are to be forgotten."""
    tables = generation.row_groups((*COLUMNS, "unit", "source", "member"))
    return [row for table in tables for row in table.filter(pa.array(gone.mask(table), pa.bool_())).to_pylist()]


def _unknown(output: str, ids: Sequence[str]) -> UserError:
    """Error for ids that are not planned, the first ones with what they are like."""
    like: dict[str, list[str]] = {id: [] for id in ids[:_SHOWN]}
    for number in generations.numbers(output):
        for table in generations.open_generation(output, number).row_groups(("id",)):
            for id, found in like.items():
                if len(found) < SUGGESTIONS:
                    found += similar(table.column("id"), id)
    told = []
    for id, found in like.items():
        told.append(f"{id!r}" + (f" (like it: {', '.join(found[:SUGGESTIONS])})" if found else ""))
    more = f" and {len(ids) - len(told):,} more" if len(ids) > len(told) else ""
    what = f"nothing was forgotten, for no such recording is planned: {', '.join(told)}{more}"
    return UserError(f"{redact(output)}: {what}. The column `id` of the table has all ids.")
