"""All that a table knows about one recording: where it comes from, which unit it is in, what became of it and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from pipeline import documents
from pipeline.corpus import Recording
from pipeline.errors import UserError
from pipeline.plan import generations
from pipeline.plan.forgotten import forgotten
from pipeline.plan.generations import Generation, UnitRef
from pipeline.plan.similar import similar
from pipeline.plan.store import planned_unit
from pipeline.plan.superseded import superseded
from pipeline.quantities import counted, show_seconds
from pipeline.storage.paths import redact
from pipeline.table import layout
from pipeline.table.done import stub, unit_sizes
from pipeline.table.encode import FOOTER
from pipeline.table.presence import require_plan, require_table
from pipeline.table.runs import recent_faults, runs
from pipeline.table.task import tasks
from pipeline.table.unit_file import read_unit

SUGGESTIONS = 5
"""Ids shown where the one asked for is not planned."""
RUNS = 50
"""Newest runs that are searched for faults of the unit."""

_DANGEROUS = ("crashed", "timeout", "memory")
"""Errors of decoding that would happen to whoever decodes it again."""

_OF_EVERY_TASK = frozenset(Recording.__dataclass_fields__) | {
    "unit", "duration", "channels", "model", "error", "warnings",
}  # fmt: skip
"""Columns of a row that are told elsewhere."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What one task made of a planned row."""

    task: str
    row: Mapping[str, Any] | None
    """None while its unit is pending, and where it was taken out of the table since."""
    attempt: Mapping[str, str]
    """What the footer tells of the attempt that committed it: run, device, dtype, versions, timings."""
    committed: bool = True
    """Whether its unit is."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One planned row: a recording in one of its versions."""

    unit: UnitRef
    recording: Recording
    newer: str | None
    """Unit of the row that took its place."""
    labels: tuple[Labels, ...]
    faults: tuple[tuple[str, str], ...]
    """Run and fault of the last runs in which its unit failed, the newest first."""
    forgotten: bool = False
    """Whether nothing of it may be shown any more."""


def explain(output: str, id: str) -> list[Planned]:
    """Every row that was ever planned for an id, the oldest first.

    Raises:
        UserError: there is no table, or no such id in it; some that are like it are named.
        StorageFault: it cannot be read.
    """
    require_table(output)
    require_plan(output)
    found = _find(output, id)
    newer = {each.old: each.new[0] for each in superseded(output)}
    done = {task: _committed(output, task) for task in tasks(output)}
    faults, gone = recent_faults(output, runs(output)[-RUNS:]), forgotten(output)
    return [
        Planned(
            unit=unit,
            recording=recording,
            newer=newer.get((unit.name, id)),
            labels=()
            if gone.covers(recording)
            else tuple(
                _labels(output, task, unit.name, id, unit.name in done[task]) for task in done if unit.concerns(task)
            ),
            faults=tuple((each.run, each.told) for each in faults if each.unit == unit.name),
            forgotten=gone.covers(recording),
        )
        for unit, recording in found
    ]


def _committed(output: str, task: str) -> set[str]:
    """Units with a file that may be whole; another one that is none hides nothing of this recording."""
    return {unit for unit, size in unit_sizes(output, task).items() if stub(size) is None}


def _find(output: str, id: str) -> list[tuple[UnitRef, Recording]]:
    found: list[tuple[UnitRef, Recording]] = []
    like: list[str] = []
    for generation in generations.opened(output):
        for group, ids in enumerate(generation.row_groups(("id",))):
            column = ids.column("id")
            if pc.index(column, id).as_py() >= 0:
                found += _rows(output, generation, group, id)
            elif len(like) < SUGGESTIONS:
                like += similar(column, id)
    if not found:
        hint = f"Like it: {', '.join(like[:SUGGESTIONS])}." if like else "The column `id` of the table has all ids."
        raise UserError(f"{redact(output)}: no recording {id!r} is planned. {hint}")
    return found


def _rows(output: str, generation: Generation, group: int, id: str) -> Iterator[tuple[UnitRef, Recording]]:
    table = generation.row_group(group, ("id", "unit", "seconds", "payload"))
    for unit in generations.unit_runs(table, generation, row_group=group):
        if id in table.column("id").slice(unit.first, unit.count).to_pylist():
            for each in planned_unit(output, unit).recordings:
                if each.id == id:
                    yield unit, each


def _labels(output: str, task: str, unit: str, id: str, done: bool) -> Labels:
    if not done:
        return Labels(task, None, {}, committed=False)
    table = read_unit(layout.unit_file(output, task, unit))
    told = {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in (table.schema.metadata or {}).items()
    }
    attempt = {key.removeprefix(FOOTER): value for key, value in told.items() if key.startswith(FOOTER)}
    rows = table.filter(pc.equal(table.column("id"), id)).to_pylist()
    return Labels(task, rows[0] if rows else None, attempt)


def undecodable(planned: Planned) -> str:
    """What decoding did where it did not end by itself; '' where it did, or was not tried."""
    for labels in planned.labels:
        error = (labels.row or {}).get("error")
        if error and error["stage"] == "decode" and error["type"] in _DANGEROUS:
            return str(error["message"])
    return ""


def format_explanation(found: list[Planned]) -> str:
    """The same for people."""
    return "\n".join(line for each in found for line in _lines(each))


def _lines(planned: Planned) -> Iterator[str]:
    each, unit = planned.recording, planned.unit
    yield each.id
    member = f", member {each.member}" if each.member else ""
    yield f"  source     {redact(each.source)}{member}, {each.size:,} bytes from byte {each.offset:,}"
    until = "the end" if each.end is None else show_seconds(each.end)
    length = f"{show_seconds(each.seconds)} ({each.seconds_from})"
    yield f"  audio      {each.format}, {length}, from {each.start:g} s to {until}"
    yield f"  version    {each.version}" + (f", superseded by unit {planned.newer}" if planned.newer else "")
    if each.reference is not None and not planned.forgotten:
        yield f"  reference  {_shown(each.reference)}"
    yield f"  planned    unit {unit.name}, {counted(unit.count, 'recording')}, generation {unit.generation}"
    if planned.forgotten:
        yield "  forgotten  no task may hear it, no reader see it"
    for labels in planned.labels:
        yield from _task_lines(labels)
    for run, fault in planned.faults:
        yield f"  failed     in run {run}: {redact(fault)}"


def _task_lines(labels: Labels) -> Iterator[str]:
    if labels.row is None:
        yield f"  {labels.task:<10} {'removed' if labels.committed else 'pending'}"
        return
    attempt, row = labels.attempt, labels.row
    made = [attempt[key] for key in ("run", "device", "dtype", "voxmill") if key in attempt]
    yield f"  {labels.task:<10} committed by attempt {attempt.get('attempt', '?')[:8]} of run {', '.join(made)}"
    if row.get("error"):
        yield "    error      {stage}.{type}: {message}".format(**row["error"])
    for warning in row.get("warnings") or ():
        yield f"    warning    {warning}"
    for name, value in row.items():
        if name not in _OF_EVERY_TASK and value is not None:
            yield f"    {name:<10} {_shown(value)}"
    yield from _timings(attempt.get("timings", ""))


def _shown(value: Any) -> str:
    """A value of a row, its beginning where it is long."""
    text = value if isinstance(value, str) else json.dumps(_rounded(value), ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _rounded(value: Any) -> Any:
    """Numbers with as many digits as say something."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def _timings(told: str) -> Iterator[str]:
    """Where the time of the unit went, on which nodes, and at which attempts; older releases tell none of these."""
    try:
        timings = documents.parse(told)
        workers, attempts = timings["workers"], timings.get("attempts", {})
        parts = [
            f"{stage} {show_seconds(seconds)}"
            + (f" on {worker}" if (worker := workers.get(stage)) else "")
            + (f" (attempt {attempt})" if (attempt := attempts.get(stage, 1)) > 1 else "")
            for stage, seconds in timings["seconds"].items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    yield f"    took       {', '.join(parts)}"
