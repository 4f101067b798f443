"""The end of a run: what went in, what came out, where the time went, what to do next."""

from __future__ import annotations

import dataclasses
import itertools
import shlex
from dataclasses import dataclass, field
from typing import Any

from pipeline.corpus import Seconds
from pipeline.quantities import counted, show_seconds

COMPLETE, FAILURE, USAGE, ERRORS, PARTIAL = 0, 1, 2, 3, 4

MEANINGS = {
    COMPLETE: "complete",
    FAILURE: "failure",
    USAGE: "wrong usage",
    ERRORS: "complete, with more error rows than --max-errors allows",
    PARTIAL: "partial: the same command goes on where this run ended",
}

DONE = {
    "transcribe": "transcribed",
    "classify": "classified",
    "frames": "labelled",
    "embed": "embedded",
    "label": "rows labelled",
}
"""What became of the rows, by what was done."""


UNITS_KEPT = 1000
"""Units that a manifest names with what left them pending, and as many with their attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTotals:
    """One task's part of the table after a run."""

    kind: str
    name: str
    """Folder of its rows."""
    model: dict[str, str]
    """`name` and `hash` of the checkpoint."""
    pending_units: int
    rows: int
    errors: int
    """Rows with an error; `--max-errors` is held against these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run, as `_runs/<run>.json` keeps it."""

    run: str
    """Name of the run: UTC start and a few random digits."""
    exit_code: int
    output: str
    task: str
    """What was done: `transcribe`, or `label` for several tasks."""
    name: str
    """Folder of its labels below the output; of several tasks, the first's."""
    model: dict[str, str]
    """`name` and `hash` of the checkpoint; of several tasks, the first's."""
    started: str
    """UTC, ISO 8601."""
    finished: str
    config: dict[str, Any]
    sources: tuple[str, ...]
    versions: dict[str, str] = field(default_factory=dict)
    pools: str = ""
    tasks: tuple[TaskTotals, ...] = ()
    planned_recordings: int = 0
    """Rows that the table will have once all is done, after this run's planning."""
    planned_units: int = 0
    new_recordings: int = 0
    """Planned by this run."""
    pending_units: int = 0
    """Left to do after this run."""
    units: int = 0
    """Ended by this run; `taken` of these were committed by somebody else meanwhile."""
    taken: int = 0
    late: int = 0
    """Of these, committed as the run ended: their rows and audio count, their time and frames nobody told."""
    rows: int = 0
    audio_seconds: Seconds = 0.0
    errors: dict[str, int] = field(default_factory=dict)
    superseded: int = 0
    """Rows with an error besides, of versions that newer rows take the place of."""
    examples: dict[str, str] = field(default_factory=dict)
    warnings: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    """Unit -> what left it pending."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Unit that this run did at more than one attempt -> how many, as far as receipts tell; faults tell their own."""
    table_rows: int = 0
    """In the whole table, after this run."""
    table_errors: int = 0
    """Rows with an error among them; `--max-errors` is held against these."""
    damaged: tuple[str, ...] = ()
    """Files of units that no run wrote so."""
    problems: tuple[str, ...] = ()
    """What planning could not read."""
    plan_seconds: Seconds = 0.0
    startup_seconds: Seconds | None = None
    """From the start of the run to the first committed unit: planning, Ray's start, loading the model, one unit."""
    first_audio_seconds: Seconds = 0.0
    """Audio of that first unit."""
    work_seconds: Seconds = 0.0
    """From the start of the run to the end of its work, start-up included."""
    stage_seconds: dict[str, Seconds] = field(default_factory=dict)
    """Work of all workers of a stage together; `wait` is the model's idle time between units."""
    slowest: str | None = None
    busy: dict[str, float] = field(default_factory=dict)
    frames_computed: int = 0
    """By encoders, 50 for a second of audio; what follows are shares of these."""
    context_share: float = 0.0
    """Of windows: frames on both sides of a cut, which the neighbouring window computes too."""
    padding_share: float = 0.0
    """Of no recording: what batches are filled up with."""
    peak_bytes: dict[str, int] = field(default_factory=dict)
    worker_deaths: dict[str, int] = field(default_factory=dict)
    """Stage -> actors that died and were started again; what they had at work was tried again."""
    stopped: str = ""
    """Why the run ended before its work did."""

    @property
    def speed(self) -> float:
        """Audio seconds per second from the first committed unit on, its audio apart.

        Of all the work where that took less than a second.
        """
        working = self.work_seconds - (self.startup_seconds or 0.0)
        if working < 1.0 or self.units < 2:
            return self.audio_seconds / max(self.work_seconds, 1e-9)
        return (self.audio_seconds - self.first_audio_seconds) / working

    def to_json(self) -> dict[str, Any]:
        """Plain values; of very many units that failed, or were tried again, the first are kept, and their number."""
        return dataclasses.asdict(self) | {
            "faults": dict(itertools.islice(self.faults.items(), UNITS_KEPT)),
            "failed_units": len(self.faults),
            "attempts": dict(itertools.islice(self.attempts.items(), UNITS_KEPT)),
            "retried_units": len(self.attempts),
            "state": "ended",
            "meaning": MEANINGS[self.exit_code],
            "x_realtime": round(self.speed, 1),
        }


def format_summary(summary: RunSummary) -> str:
    """The summary that a person reads and forwards."""
    lines = [*_outcome(summary), *_errors(summary), *_where_time_went(summary), *_next(summary)]
    return "\n".join(lines)


def _outcome(summary: RunSummary) -> list[str]:
    errors = sum(summary.errors.values())
    start = "" if summary.startup_seconds is None else f" (start-up {summary.startup_seconds:.1f} s)"
    old = f" and {counted(summary.superseded, 'superseded row')}" if summary.superseded else ""
    done = (
        f"{summary.rows - errors - summary.superseded:,} {DONE[summary.task]}, {counted(errors, 'error')}{old}  ·  "
        f"{show_seconds(summary.audio_seconds)} audio  ·  {summary.work_seconds:.1f} s{start}  ·  "
        f"{summary.speed:,.0f}x real time"
    )
    planned = (
        f"plan    {counted(summary.planned_recordings, 'recording')} in {counted(summary.planned_units, 'unit')}, "
        f"{summary.new_recordings:,} new in this run"
    )
    if not summary.work_seconds:
        errors = summary.table_errors
        done = (
            f"nothing to do: every planned recording is already in the table, {counted(summary.table_rows, 'row')}, "
            f"{errors:,} with an error"
        )
    left = f", {counted(summary.pending_units, 'unit')} pending" if summary.pending_units else ""
    stopped = [f"stopped {summary.stopped}"] if summary.stopped else []
    each = [
        f"task    {task.name}: {counted(task.rows, 'row')}, {task.errors:,} with an error"
        + (f", {counted(task.pending_units, 'unit')} pending" if task.pending_units else "")
        for task in summary.tasks
        if len(summary.tasks) > 1
    ]
    return [done, *stopped, planned + left, *each]


def _errors(summary: RunSummary) -> list[str]:
    rows = [
        f"errors  {reason}: {count:,}" + (f", such as {summary.examples[reason]}" if reason in summary.examples else "")
        for reason, count in sorted(summary.errors.items(), key=lambda item: -item[1])
    ]
    if summary.taken:
        rows.append(f"taken   {counted(summary.taken, 'unit')} that another run had committed meanwhile")
    if summary.warnings:
        rows.append(f"warned  {summary.warnings:,} rows have an entry in the column `warnings`")
    rows += [f"unread  {problem}" for problem in summary.problems[:5]]
    if len(summary.problems) > 5:
        rows.append(f"unread  and {len(summary.problems) - 5:,} more, see _runs/{summary.run}.json")
    if summary.worker_deaths:
        died = ", ".join(f"{stage} {count:,}" for stage, count in summary.worker_deaths.items())
        rows.append(f"died    workers that were started again: {died}")
    if summary.attempts:
        unit, tried = next(iter(summary.attempts.items()))
        units = counted(len(summary.attempts), "unit")
        rows.append(f"tries   {units} took more than one attempt, such as {tried:,} at unit {unit[:8]}…")
    if summary.faults:
        unit, fault = next(iter(summary.faults.items()))
        failed = counted(len(summary.faults), "unit")
        rows.append(f"faults  {failed} pending after a failure, such as {unit[:8]}…: {fault}")
    return rows


def _where_time_went(summary: RunSummary) -> list[str]:
    if not summary.stage_seconds:
        return []
    stages = "  ".join(
        f"{stage} {seconds:.1f} s" for stage, seconds in summary.stage_seconds.items() if stage != "wait"
    )
    wait = summary.stage_seconds.get("wait", 0.0)
    slowest = f"  ·  slowest: {summary.slowest}" if summary.slowest else ""
    memory = "  ".join(f"{stage} {size / 1e6:,.0f} MB" for stage, size in summary.peak_bytes.items())
    computed = (
        f"frames  {summary.frames_computed:,} computed, of these {summary.context_share:.1%} context of windows, "
        f"{summary.padding_share:.1%} padding"
    )
    late = f"late    {counted(summary.late, 'unit')} committed as the run ended, their time and frames not counted"
    return [
        f"time    {stages}{slowest}  ·  the model waited {wait:.1f} s for input",
        *([computed] if summary.frames_computed else []),
        f"memory  {memory} at the peak",
        *([late] if summary.late else []),
    ]


def _next(summary: RunSummary) -> list[str]:
    output = shlex.quote(summary.output)
    task = "" if summary.name == "transcribe" else f", task={summary.name!r}"
    read = f"import pipeline; print(pipeline.read_table({summary.output!r}{task}).to_pandas())"
    lines = [f"table   {summary.output}    python -c {_double_quoted(read)}"]
    if summary.exit_code == PARTIAL:
        lines.append("next    run the same command again: what is committed stays, the rest is done")
        lines.append(f"        python -m pipeline.table status {output}")
    elif summary.table_errors:
        lines.append(f"next    python -m pipeline.table errors {output}")
    lines.append(f"exit    {summary.exit_code}: {MEANINGS[summary.exit_code]}")
    return lines


def _double_quoted(text: str) -> str:
    """One word of a shell, readable where the text holds nothing that a shell would change."""
    return f'"{text}"' if not set('"\\$`!') & set(text) else shlex.quote(text)
