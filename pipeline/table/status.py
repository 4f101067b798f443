"""Where a table stands: planned, committed, pending, failed; for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pipeline.corpus import Seconds
from pipeline.errors import UserError
from pipeline.plan.planned import read_planned
from pipeline.plan.success import Success, read_success
from pipeline.quantities import counted, show_seconds
from pipeline.storage.paths import redact
from pipeline.table.damage import beside_damage
from pipeline.table.done import stub, unit_sizes
from pipeline.table.failures import failures
from pipeline.table.lease import EXPIRY, signs
from pipeline.table.presence import require_plan, require_table
from pipeline.table.runs import Fault, newest_run, recent_faults, runs
from pipeline.table.task import read_record, tasks

T = TypeVar("T")

_BELIEVED = 1e12
"""Figures of a manifest beyond are not shown."""


RUNS = 20
"""Last runs of which the faults are counted."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A pending unit that runs have tried in vain."""

    unit: str
    runs: int
    """Of the last ones, those that it failed in."""
    last: str
    """What happened in the newest of them."""


@dataclass(frozen=True, slots=True)
class AtWork:
    """A run that has given a sign of life a short while ago."""

    run: str
    host: str
    process: int
    started: str
    age: Seconds
    """Since its last sign, by the storage's clock and this machine's, which are taken to agree."""


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
    failing: tuple[Failing, ...] = ()
    """Pending units that failed in one of the last runs, those that failed most often first."""
    damaged: tuple[str, ...] = ()
    """Files of units that cannot be read, each with the remedy; their rows are not among the errors."""


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
    forgotten: int
    """Planned rows that nobody may see any more; not among the recordings."""
    seconds: Seconds
    """Planned audio of the recordings."""
    tasks: tuple[TaskStatus, ...]
    success: Success | None
    last_run: Mapping[str, Any] | None
    """Manifest of the newest run."""
    at_work: tuple[AtWork, ...] = ()
    damaged: tuple[str, ...] = ()
    """Files that nothing of the table depends on and that cannot be read, each with the remedy."""

    @property
    def claimed(self) -> bool:
        """Whether `_SUCCESS` claims the last generation of the plan."""
        return self.success is not None and self.success.generation == self.generations

    @property
    def run_ended(self) -> bool | None:
        """Whether the newest run has ended; a run that died has not. None where there is none."""
        return None if self.last_run is None else not _is_open(self.last_run)

    @property
    def broken(self) -> bool:
        """Whether a committed file cannot be read."""
        return any(task.damaged for task in self.tasks)

    @property
    def complete(self) -> bool:
        """Whether every unit is committed for every task that was begun, those that were claimed among them."""
        return bool(self.tasks) and not self.missing and not any(task.pending for task in self.tasks)

    @property
    def missing(self) -> tuple[str, ...]:
        """Tasks that `_SUCCESS` claims and that are not there any more."""
        there = {task.name for task in self.tasks}
        return () if self.success is None else tuple(name for name in self.success.tasks if name not in there)


def status(output: str) -> Status:
    """Look at the plan, the folders of the tasks, the error rows and the newest manifest.

    Raises:
        UserError: there is no table, or its plan or a task's record is gone or damaged.
        StorageFault: it cannot be read.
    """
    require_table(output)
    require_plan(output)
    planned = read_planned(output)
    faults: list[Fault] | None = None
    found = []
    for name in tasks(output):
        record = read_record(output, name)
        done = {unit for unit, size in unit_sizes(output, name).items() if stub(size) is None}
        mine = [unit for unit in planned.units if unit.concerns(name)]
        left = [unit for unit in mine if unit.name not in done]
        if left and faults is None:
            faults = recent_faults(output, runs(output)[-RUNS:])
        errors: Counter[str] = Counter()
        failed, broken = beside_damage(output, name, lambda table: failures(table, examples=0))
        for (stage, type), reason in failed.items():
            errors[f"{stage}.{type}"] += reason.count
        found.append(
            TaskStatus(
                name=name,
                model_name=record.model_name,
                model_hash=record.model_hash,
                committed=len(mine) - len(left),
                pending=len(left),
                pending_recordings=sum(unit.count for unit in left),
                errors=dict(errors),
                failing=_failing({unit.name for unit in left}, faults or ()),
                damaged=broken,
            )
        )
    damaged: list[str] = []
    return Status(
        output=output,
        generations=max((unit.generation for unit in planned.units), default=0),
        units=len(planned.units),
        recordings=planned.recordings,
        superseded=len(planned.superseded),
        forgotten=len(planned.forgotten),
        seconds=planned.seconds(output),
        tasks=tuple(found),
        success=_readable(lambda: read_success(output), damaged),
        last_run=_readable(lambda: newest_run(output), damaged),
        at_work=tuple(_at_work(output)),
        damaged=tuple(damaged),
    )


def _failing(pending: set[str], faults: Sequence[Fault]) -> tuple[Failing, ...]:
    """Pending units with what befell them; the faults come newest run first. Pure."""
    told: dict[str, list[Fault]] = {}
    for fault in faults:
        if fault.unit in pending:
            told.setdefault(fault.unit, []).append(fault)
    found = [Failing(unit, len(each), each[0].told) for unit, each in told.items()]
    return tuple(sorted(found, key=lambda each: (-each.runs, each.unit)))


def _at_work(output: str) -> Iterator[AtWork]:
    now = datetime.now(UTC)
    for sign in signs(output):
        age = max(0.0, (now - sign.at).total_seconds())
        if age < EXPIRY:
            lease = sign.lease
            yield AtWork(lease.run, lease.host, lease.process, lease.started, age)


def _readable(read: Callable[[], T | None], damaged: list[str]) -> T | None:
    """What `read` gives; a file that it cannot read is noted, for the rest of the table can be looked at."""
    try:
        return read()
    except UserError as error:
        damaged.append(str(error))
        return None


def to_json(found: Status) -> dict[str, Any]:
    """The same for programs."""
    return {
        **asdict(found),
        "output": redact(found.output),
        "complete": found.complete,
        "missing": found.missing,
        "claimed": found.claimed,
        "run_ended": found.run_ended,
    }


def format_status(found: Status) -> str:
    """The same for people."""
    planned = (
        f"planned {counted(found.units, 'unit')}, {counted(found.recordings, 'recording')}, {_hours(found.seconds)}"
    )
    if found.superseded:
        planned += f" ({counted(found.superseded, 'row')} superseded)"
    if found.forgotten:
        planned += f" ({counted(found.forgotten, 'row')} forgotten)"
    lines = [f"{redact(found.output)}   {planned}"]
    if not found.tasks:
        lines.append("no task has been run")
    for task in found.tasks:
        every = task.committed + task.pending
        share = f"{100 * task.committed / every:.1f} %" if every else "0 units"
        lines += [
            f"{task.name}   {task.model_name} {task.model_hash[:4]}…",
            f"  committed {task.committed:,} ({share})   pending {task.pending:,}{_worst(task.failing)}",
            f"  {_errors(task.errors)}",
            *(f"damaged   {each}" for each in task.damaged),
        ]
    lines += _claim(found)
    lines += [
        f"at work   run {each.run} on {each.host}, process {each.process}, last sign {show_seconds(each.age)} ago"
        for each in found.at_work
    ]
    if found.last_run is not None:
        lines += _last_run(found.last_run, {each.run for each in found.at_work})
    lines += [f"damaged   {each}" for each in found.damaged]
    return "\n".join(lines)


def _worst(failing: Sequence[Failing]) -> str:
    if not failing:
        return ""
    unit = failing[0]
    told = f"unit {unit.unit[:8]}…, in {counted(unit.runs, 'run')} of the last {RUNS}, last: {_told(unit.last)}"
    return f"   failing {len(failing):,} ({told})"


def _errors(errors: Mapping[str, int]) -> str:
    if not errors:
        return "errors 0 recordings"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in errors.items())
    return f"errors {counted(sum(errors.values()), 'recording')}: {reasons}"


def _claim(found: Status) -> list[str]:
    if found.success is None:
        return []
    present = "the last one" if found.claimed else f"but the plan ends with {found.generations}"
    gone = (
        f"; of these {', '.join(found.missing)} is not there; delete _SUCCESS if that is meant, the next run writes it"
        if found.missing
        else ""
    )
    tasks = ", ".join(found.success.tasks)
    return [f"_SUCCESS   claims generation {found.success.generation}, {present}, for {tasks}{gone}"]


def _is_open(run: Mapping[str, Any]) -> bool:
    return run.get("state") == "running" and run.get("exit_code") is None


def _last_run(run: Mapping[str, Any], at_work: Collection[str]) -> list[str]:
    """What the manifest tells; manifests of other releases may tell less."""
    began = _told(run.get("started", "at an unknown time"))[:16].replace("T", " ")
    if _is_open(run):
        return [f"last run began {began} and {_open_end(run, at_work)}"]
    parts = [began]
    if isinstance(seconds := run.get("work_seconds"), int | float) and abs(seconds) < _BELIEVED:
        parts.append(f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:,.1f} s")
    if isinstance(speed := run.get("x_realtime"), int | float) and abs(speed) < _BELIEVED:
        parts.append(f"{speed:,.0f}x real time")
    if "exit_code" in run:
        parts.append(f"exit code {_told(run['exit_code'])}")
    lines = [f"last run {', '.join(parts)}"]
    attempts = run.get("attempts")
    if isinstance(attempts, Mapping) and attempts:
        unit, tried = next(iter(attempts.items()))
        more = counted(_count(run.get("retried_units"), attempts), "unit")
        lines.append(f"  attempts {more} took more than one, such as {_told(tried)} at unit {_told(unit)[:8]}…")
    if run.get("stopped"):
        lines.append(f"  stopped {_told(run['stopped'])}")
    faults = run.get("faults")
    if isinstance(faults, Mapping) and faults:
        unit, fault = next(iter(faults.items()))
        count = _count(run.get("failed_units"), faults)
        lines.append(f"  faults {count:,}, such as unit {_told(unit)[:8]}…: {_told(fault)}")
    return lines


def _count(told: object, kept: Mapping[str, Any]) -> int:
    """How many there are, of which a manifest keeps some."""
    return told if isinstance(told, int) else len(kept)


def _told(value: object) -> str:
    """A value of a manifest in one line, without credentials."""
    return redact(" ".join(str(value).split()))


def _open_end(run: Mapping[str, Any], at_work: Collection[str]) -> str:
    if _told(run.get("run")) in at_work:
        return "is at work"
    if run.get("lease"):
        return "gives no sign of life: it died, or its storage took nothing more (a full disk)"
    return "has not ended: it is at work, or it died"


def _hours(seconds: Seconds) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 360 else f"{seconds:,.1f} s"
