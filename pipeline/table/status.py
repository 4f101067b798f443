"""Where a table stands: planned, committed, pending, failed; for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.corpus import Seconds
from pipeline.errors import UserError
from pipeline.plan.store import units
from pipeline.plan.success import Success, read_success
from pipeline.plan.superseded import superseded
from pipeline.storage.listing import list_names
from pipeline.storage.paths import redact
from pipeline.table.done import committed
from pipeline.table.failures import failures
from pipeline.table.read import read_table
from pipeline.table.runs import newest_run
from pipeline.table.task import read_record, tasks


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """One task of a table."""

    name: str
    model_name: str
    model_hash: str
    committed: int
    """Units."""
    pending: int
    """Units."""
    pending_recordings: int
    errors: Mapping[str, int]
    """`stage.type` -> rows."""


@dataclass(frozen=True, slots=True)
class Status:
    """One table."""

    output: str
    generations: int
    units: int
    recordings: int
    """Recordings planned, each once."""
    superseded: int
    """Planned rows of content that has changed since."""
    seconds: Seconds
    """Planned audio, superseded rows included."""
    tasks: tuple[TaskStatus, ...]
    success: Success | None
    last_run: Mapping[str, Any] | None
    """Manifest of the newest run."""

    @property
    def complete(self) -> bool:
        """Whether every unit is committed for every task that was begun."""
        return bool(self.tasks) and not any(task.pending for task in self.tasks)


def status(output: str) -> Status:
    """Look at the plan, the folders of the tasks, the error rows and the newest manifest.

    Raises:
        UserError: there is no table, or its plan is damaged.
        StorageFault: it cannot be read.
    """
    planned = units(output)
    if not planned and not list_names(output):
        raise UserError(f"{redact(output)}: there is no table here. Name the output folder of a run.")
    old = len(superseded(output))
    found = []
    for name in tasks(output):
        record, done = read_record(output, name), committed(output, name)
        left = [unit for unit in planned if unit.name not in done]
        errors: Counter[str] = Counter()
        for (stage, type), reason in failures(read_table(output, task=name), examples=0).items():
            errors[f"{stage}.{type}"] += reason.count
        found.append(
            TaskStatus(
                name=name,
                model_name=record.model_name,
                model_hash=record.model_hash,
                committed=len(planned) - len(left),
                pending=len(left),
                pending_recordings=sum(unit.count for unit in left),
                errors=dict(errors),
            )
        )
    return Status(
        output=output,
        generations=max((unit.generation for unit in planned), default=0),
        units=len(planned),
        recordings=sum(unit.count for unit in planned) - old,
        superseded=old,
        seconds=sum(unit.seconds for unit in planned),
        tasks=tuple(found),
        success=read_success(output),
        last_run=newest_run(output),
    )


def to_json(found: Status) -> dict[str, Any]:
    """The same for programs."""
    return {**asdict(found), "complete": found.complete}


def format_status(found: Status) -> str:
    """The same for people."""
    planned = f"planned {found.units:,} units, {found.recordings:,} recordings, {_hours(found.seconds)}"
    if found.superseded:
        planned += f" ({found.superseded:,} rows superseded)"
    lines = [f"{redact(found.output)}   {planned}"]
    if not found.tasks:
        lines.append("no task has been run")
    for task in found.tasks:
        share = f"{100 * task.committed / found.units:.1f} %" if found.units else "0 units"
        lines += [
            f"{task.name}   {task.model_name} {task.model_hash[:4]}…",
            f"  committed {task.committed:,} ({share})   pending {task.pending:,}",
            f"  {_errors(task.errors)}",
        ]
    if found.last_run:
        lines.append(_last_run(found.last_run))
    return "\n".join(lines)


def _errors(errors: Mapping[str, int]) -> str:
    if not errors:
        return "errors 0 recordings"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in errors.items())
    return f"errors {sum(errors.values()):,} recordings: {reasons}"


def _last_run(run: Mapping[str, Any]) -> str:
    """What the manifest tells; manifests of other releases may tell less."""
    parts = [str(run.get("started", "at an unknown time"))[:16].replace("T", " ")]
    if isinstance(seconds := run.get("work_seconds"), int | float):
        parts.append(f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:,.1f} s")
    if isinstance(speed := run.get("x_realtime"), int | float):
        parts.append(f"{speed:,.0f}x real time")
    if "exit_code" in run:
        parts.append(f"exit code {run['exit_code']}")
    return f"last run {', '.join(parts)}"


def _hours(seconds: Seconds) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 360 else f"{seconds:,.1f} s"
