"""The plan: extend it by what is new or changed, list its units, load one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipeline.corpus import WHOLE_BYTES, Seconds, Unit
from pipeline.errors import UserError
from pipeline.plan import generations, layout
from pipeline.plan.bundle import UNIT_BYTES, bundle, default_unit_seconds
from pipeline.plan.columns import to_recordings
from pipeline.plan.draft import Draft, drafted
from pipeline.plan.emptying import empty_texts
from pipeline.plan.forgotten import forgotten
from pipeline.plan.generations import Generation, Scope, UnitRef, encode_metadata
from pipeline.plan.known import Known, read_known
from pipeline.plan.moves import NOWHERE, Moves
from pipeline.plan.publish import Drafted, DraftGeneration, encode_generations
from pipeline.plan.report import PlanReport
from pipeline.plan.success import remove_success
from pipeline.sources import MOST_MEMBER, Group, Problem, RowsPlanned, Unchanged, by_seeking, entries
from pipeline.storage.paths import canonical, redact
from pipeline.storage.put import put_if_absent

_ROW_GROUPS_KEPT = 4
"""Row groups that one process keeps, of a few MB each; neighbouring units share one."""

Entries = Callable[[RowsPlanned], Iterable[Group | Problem | Unchanged]]
"""Starts one listing, given what is planned already; called again where another planner was first."""

Exact = Callable[[Iterable[Group | Problem | Unchanged]], Iterable[Group | Problem | Unchanged]]
"""Gives a listing with the exact lengths of what is to be cut."""


def extend(
    sources: Sequence[str],
    output: str,
    *,
    corpus: str | None = None,
    unit_seconds: Seconds | None = None,
    unit_bytes: int = UNIT_BYTES,
    on_progress: Callable[[int], None] | None = None,
    exact: Exact = iter,
    dry_run: bool = False,
) -> PlanReport:
    """List sources, and plan what is new or changed as the next generations of the plan.

    Several may plan at once: a generation is put under the next number only if nobody else has, and who comes
    second reads what the other planned and lists again. Nothing is planned unless the listing came to its
    end. A file that is planned at the version it is listed with is not opened.

    Args:
        sources: files, folders, tar shards, manifests, patterns.
        output: folder of the table.
        corpus: name that starts every id; the source's URI by default.
        unit_seconds: bound on the audio of a unit; by default between 1 minute and 2 hours, growing with what
            is new.
        unit_bytes: bound on the encoded bytes of a unit.
        on_progress: called with the number of entries listed so far.
        exact: gives what is listed with the exact lengths of what is to be cut; without it estimates stay.
        dry_run: look and count, write nothing.

    Raises:
        UserError: nothing is there, two recordings have one id, the plan is damaged.
        StorageFault: listing or writing failed for longer than the retries, or a folder whose audio is new is out of
            reach.
    """
    scope = Scope(corpus, tuple(canonical(source) for source in sources))

    def listed(known: RowsPlanned) -> Iterable[Group | Problem | Unchanged]:
        return exact(entries(sources, corpus=corpus, known=known, on_progress=on_progress))

    bounds = Bounds(unit_seconds, unit_bytes)
    return extend_from(listed, output, scope=scope, bounds=bounds, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a unit may hold; seconds are chosen from the corpus where they are None."""

    unit_seconds: Seconds | None = None
    unit_bytes: int = UNIT_BYTES


def extend_from(
    listed: Entries, output: str, *, scope: Scope, bounds: Bounds | None = None, dry_run: bool = False
) -> PlanReport:
    """Plan what some listing yields; see `extend`."""
    bounds = bounds or Bounds()
    written = Written()
    while True:
        known = read_known(output)
        with drafted(listed(known.files.rows_of), known) as draft:
            unit_seconds = bounds.unit_seconds or default_unit_seconds(float(draft.seconds.sum()))
            unit_numbers = bundle(
                draft.seconds,
                draft.payloads,
                draft.groups,
                unit_seconds=unit_seconds,
                unit_bytes=bounds.unit_bytes,
            )
            if dry_run:
                written.plan(draft, unit_numbers)
                return _report(draft, written, known=known, scope=scope, unit_seconds=unit_seconds)
            metadata = encode_metadata(scope, unit_seconds, bounds.unit_bytes)
            if publish(draft, unit_numbers, known=known, metadata=metadata, written=written):
                if written.numbers and forgotten(output) != known.forgotten:
                    empty_texts(output)
                return _report(draft, written, known=known, scope=scope, unit_seconds=unit_seconds)


def units(output: str) -> list[UnitRef]:
    """Every unit of every generation, in plan order; [] where nothing is planned.

    Raises:
        UserError: a generation is missing or damaged.
        StorageFault: the plan cannot be read.
    """
    return generations.of_row_groups(output, units_of)


def units_of(generation: Generation, group: int) -> list[UnitRef]:
    """Units of one row group of the plan, in order."""
    rows = generation.row_group(group, ("unit", "seconds", "payload"))
    return generations.unit_runs(rows, generation, row_group=group)


def load_unit(output: str, ref: UnitRef, moves: Moves = NOWHERE) -> Unit:
    """The recordings of one unit that are to be heard, at the places where they lie now, without forgotten ones.

    Reads one row group, which the process keeps for the neighbours, and lists what is forgotten.

    Raises:
        UserError: the plan is damaged, or is not the one that `ref` came from.
        StorageFault: the plan cannot be read.
    """
    unit, gone = planned_unit(output, ref), forgotten(output)
    recordings = tuple(each for each in unit.recordings if not gone.covers(each)) if gone else unit.recordings
    return Unit(unit.name, moves.applied(recordings) if moves else recordings)


def held(output: str, ref: UnitRef) -> int:
    """Encoded bytes that a read of a unit holds; asks the plan only about one large recording.

    Raises:
        UserError, StorageFault: as `load_unit`.
    """
    if ref.count > 1 or ref.size <= WHOLE_BYTES:
        return ref.size
    (recording,) = planned_unit(output, ref).recordings
    return 0 if by_seeking(recording) else min(ref.size, MOST_MEMBER)


def planned_unit(output: str, ref: UnitRef) -> Unit:
    """All recordings of one unit, the forgotten ones too; raises as `load_unit`."""
    rows = _row_group(generations.open_generation(output, ref.generation), ref.row_group).slice(ref.first, ref.count)
    if rows.num_rows != ref.count or set(rows.column("unit").to_pylist()) != {ref.name}:
        uri = redact(layout.plan_file(output, ref.generation))
        raise UserError(f"{uri}: has no unit {ref.name} where it was; the file was changed. Restore it.")
    return Unit(ref.name, to_recordings(rows))


@functools.lru_cache(maxsize=_ROW_GROUPS_KEPT)
def _row_group(generation: Generation, number: int) -> pa.Table:
    return generation.row_group(number)


@dataclass(slots=True)
class Written:
    """What one call has planned, over all its tries."""

    numbers: list[int] = field(default_factory=list)
    rows: int = 0
    changed: int = 0
    units: int = 0
    seconds: Seconds = 0.0
    stale: set[str] = field(default_factory=set)
    """Ids that were left out, for their content has changed: the next listing plans them."""

    def add(self, number: int, generation: DraftGeneration) -> None:
        """Count a generation that this call has put."""
        self.numbers.append(number)
        self.rows += generation.rows
        self.changed += generation.changed
        self.units += generation.units
        self.seconds += generation.seconds

    def plan(self, draft: Draft, unit_numbers: np.ndarray) -> None:
        """Count what a dry run would put."""
        self.rows += len(draft)
        self.changed += draft.changed
        self.units += len(np.unique(unit_numbers))
        self.seconds += float(draft.seconds.sum())


def publish(
    draft: Drafted, unit_numbers: np.ndarray, *, known: Known, metadata: dict[str, str], written: Written
) -> bool:
    """Put the generations of a draft; False where somebody else took a number."""
    output, number = known.output, known.generation
    taken = {unit.name for unit in known.units}
    for generation in encode_generations(draft, unit_numbers, taken=taken, metadata=metadata):
        number += 1
        remove_success(output)
        if not put_if_absent(layout.plan_file(output, number), generation.data):
            return False
        written.add(number, generation)
    return True


def _report(draft: Draft, written: Written, *, known: Known, scope: Scope, unit_seconds: Seconds) -> PlanReport:
    survey, total, unopened = draft.survey, draft.survey.total(), draft.survey.unopened
    # What an earlier try of this call has planned was already there when the last one listed.
    unchanged = survey.unchanged + unopened.rows - (written.rows - len(draft))
    return PlanReport(
        new=written.rows - written.changed,
        changed=written.changed,
        unchanged=unchanged,
        unopened=unopened.rows,
        vanished=known.vanished(draft.seen, draft.absent, scope),
        absent=int(np.count_nonzero(draft.absent)),
        recordings=total.recordings + unopened.recordings,
        seconds=total.seconds + unopened.seconds,
        planned_seconds=written.seconds,
        formats=survey.by(0),
        sample_rates=survey.by(1),
        lengths=survey.by(2),
        seconds_from=survey.by(3),
        problems=tuple(survey.problems),
        num_problems=survey.num_problems,
        units=written.units,
        unit_seconds=unit_seconds,
        spans=survey.spans + unopened.spans,
        generations=tuple(written.numbers),
        moves=draft.moves,
    )
