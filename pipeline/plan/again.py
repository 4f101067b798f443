"""Plan recordings again for some tasks: their rows there ended with an error, and the next run is to try once more.

They become a generation of their own, whose rows take the place of the old ones as those of changed content do: a
reader sees the old row until the new one is committed. Other tasks have nothing to do with such a generation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.corpus import Recording
from pipeline.errors import StorageFault, UserError
from pipeline.plan import generations
from pipeline.plan.bundle import UNIT_BYTES, bundle, default_unit_seconds
from pipeline.plan.columns import OldRow, to_table
from pipeline.plan.emptying import empty_texts
from pipeline.plan.files import last_rows, name_hashes
from pipeline.plan.forgotten import forgotten
from pipeline.plan.generations import Scope, UnitRef, encode_metadata
from pipeline.plan.known import Known, read_known
from pipeline.plan.payload import payloads
from pipeline.plan.store import Written, planned_unit, publish
from pipeline.plan.superseded import Superseded, superseded
from pipeline.storage.listing import stat
from pipeline.storage.retry import at_once

Wanted = Mapping[str, Collection[OldRow]]
"""Task -> rows that its readers see and that are to be done again."""


@dataclass(frozen=True, slots=True)
class _Rows:
    table: pa.Table
    closing: np.ndarray

    def tables(self) -> Iterator[pa.Table]:
        """All at once."""
        yield self.table


@dataclass(slots=True)
class _Sources:
    """Which version sources have by now; where storage does not answer once, nobody waits for it again."""

    known: dict[str, str | None] = field(default_factory=dict)
    silent: bool = False

    def version(self, source: str) -> str | None:
        """None of what is gone, closed or out of reach: it may be there for the next run."""
        if source not in self.known and not self.silent:
            try:
                with at_once():
                    self.known[source] = stat(source).version
            except StorageFault:
                self.silent = True
            except (OSError, UserError):
                self.known[source] = None
        return self.known.get(source)


def plan_again(output: str, wanted: Wanted) -> Written:
    """Plan rows again, each for the tasks that want it; what is planned again and pending already is left out.

    So is what has changed since it was planned: read at that version it would only fail, and the next listing plans
    it at the one that it has now.

    Raises:
        UserError: the plan is damaged.
        StorageFault: it cannot be read or written; what was planned so far is, and the same call does the rest.
    """
    written, sources = Written(), _Sources()
    while True:
        known = read_known(output)
        refs = {unit.name: unit for unit in known.units}
        # Somebody may have planned more since: then this plan's number is taken, and all is looked at again.
        changes = [each for each in superseded(output) if each.new[0] in refs]
        rows = newest(wanted, changes, refs)
        stale = _stale(output, rows, refs, sources)
        written.stale |= {id for _, id in stale}
        groups = grouped({row: tasks for row, tasks in rows.items() if row not in stale}, refs, known.scopes)
        if not groups:
            return written
        (tasks, scope), chosen = next(iter(groups.items()))
        draft, unit_numbers, seconds = _drafted(known, chosen, refs)
        metadata = encode_metadata(scope, seconds, UNIT_BYTES, tasks=tuple(sorted(tasks)))
        done = publish(draft, unit_numbers, known=known, metadata=metadata, written=written)
        if done and forgotten(output) != known.forgotten:
            empty_texts(output)


def newest(wanted: Wanted, changes: Sequence[Superseded], units: Mapping[str, UnitRef]) -> dict[OldRow, frozenset[str]]:
    """Planned row of each recording that a new one has to take the place of -> tasks that want it. Pure.

    A task whose newer row is pending does not want another one.
    """
    after = {each.old: each.new for each in changes}
    found: dict[OldRow, frozenset[str]] = {}
    for task, rows in wanted.items():
        for row in rows:
            while row in after and not units[after[row][0]].concerns(task):
                row = after[row]
            if row not in after:
                found[row] = found.get(row, frozenset()) | {task}
    return found


def grouped(
    rows: Mapping[OldRow, frozenset[str]], units: Mapping[str, UnitRef], scopes: Sequence[Scope]
) -> dict[tuple[frozenset[str], Scope], list[OldRow]]:
    """Rows that can share a generation: of the same tasks, planned from the same sources. Pure."""
    groups: dict[tuple[frozenset[str], Scope], list[OldRow]] = {}
    for row, tasks in rows.items():
        groups.setdefault((tasks, scopes[units[row[0]].generation - 1]), []).append(row)
    return groups


def _stale(output: str, rows: Collection[OldRow], units: Mapping[str, UnitRef], sources: _Sources) -> frozenset[OldRow]:
    """Those of some planned rows whose source has another version by now."""
    planned = _recordings(output, rows, units)
    asked = sorted({each.source for _, each in planned})
    now = dict(zip(asked, generations.of_each(sources.version, asked), strict=True))
    return frozenset((unit, each.id) for unit, each in planned if now[each.source] not in (None, each.version))


def _recordings(output: str, chosen: Collection[OldRow], units: Mapping[str, UnitRef]) -> list[tuple[str, Recording]]:
    """Unit and recording of each of some planned rows, in the order of the plan."""
    rows = set(chosen)
    refs = sorted({units[unit] for unit, _ in rows}, key=lambda ref: (ref.generation, ref.row_group, ref.first))
    return [
        (ref.name, each) for ref in refs for each in planned_unit(output, ref).recordings if (ref.name, each.id) in rows
    ]


def _drafted(known: Known, chosen: Sequence[OldRow], units: Mapping[str, UnitRef]) -> tuple[_Rows, np.ndarray, float]:
    """Rows to be planned, in the order of the plan, the unit of each, and the bound on a unit's seconds."""
    kept = _recordings(known.output, chosen, units)
    recordings = [each for _, each in kept]
    sizes = payloads(recordings)
    seconds = np.array([each.seconds for each in recordings], dtype=np.float64)
    bound = default_unit_seconds(float(seconds.sum()))
    numbers = bundle(
        seconds, np.array(sizes, dtype=np.int64), _groups(recordings), unit_seconds=bound, unit_bytes=UNIT_BYTES
    )
    names = name_hashes(*zip(*((each.id, each.member, each.spans) for each in recordings), strict=True))
    table = to_table(recordings, sizes, [[(unit, each.id)] for unit, each in kept])
    return _Rows(table, last_rows(names, _doubted(known, names))), numbers, bound


def _groups(recordings: Sequence[Recording]) -> np.ndarray:
    """(N,) numbers; neighbours that share the decoding of one audio have the same."""
    places = [(each.source, each.offset, each.member, each.span) for each in recordings]
    new = [place != before for place, before in zip(places, [None, *places], strict=False)]
    return np.cumsum(np.array(new, dtype=np.int64))


def _doubted(known: Known, names: np.ndarray) -> np.ndarray:
    """Names of files that the plan does not have whole: a row more must not make it seem so."""
    files = known.files
    at = np.minimum(np.searchsorted(files.names, names), len(files.names) - 1)
    doubted: np.ndarray = names[(files.names[at] != names) | (files.rows[at] == 0)]
    return doubted
