"""Prove the promise: every planned recording is one row of one whole file, and nothing else is there."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError
from pipeline.plan import generations
from pipeline.plan import layout as plan_layout
from pipeline.plan import store as plan_store
from pipeline.plan.columns import PLAN_SCHEMA, OldRow
from pipeline.plan.emptying import texts
from pipeline.plan.forgotten import Forgotten, forgotten, forgotten_rows
from pipeline.plan.generations import Generation, UnitRef
from pipeline.plan.ids import digests
from pipeline.plan.success import Success, read_success
from pipeline.plan.superseded import Superseded, hidden, superseded
from pipeline.quantities import counted
from pipeline.storage.listing import list_sizes
from pipeline.storage.paths import redact
from pipeline.table import layout, unit_check
from pipeline.table.check import REMEDY
from pipeline.table.done import stub, unit_sizes
from pipeline.table.drafts import telling
from pipeline.table.forget import search
from pipeline.table.holding import Gone
from pipeline.table.presence import require_plan, require_table
from pipeline.table.publish import checking as published_check
from pipeline.table.task import read_record, tasks
from pipeline.table.traces import Names, told_by_runs, told_by_scores
from pipeline.table.unit_check import Committed, Looked
from pipeline.threads import threads

_READERS = 8
"""Unit files read at the same time."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at of the files of a table."""

    units: unit_check.Look
    published: published_check.Look


WHOLE = Look(unit_check.whole, published_check.WHOLE)
"""All of them, with the checksums of their pages."""
QUICK = Look(unit_check.by_footer, published_check.BY_FOOTER)
"""Their footers."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that breaks the promise."""

    file: str
    message: str


@dataclass(frozen=True, slots=True)
class TaskVerdict:
    """What was found of one task."""

    name: str
    committed: int
    """Units."""
    pending: int
    """Units."""
    recordings: int
    """Planned rows of the committed units that readers see."""
    rows: int
    """In files, with those of recordings that have changed since and that `vacuum` has not taken out."""
    errors: int
    """Rows with an error that readers see."""
    unsure: int = 0
    """Rows with an error besides, of files with rows that readers do not see: a footer does not say whose they are."""
    forgotten: int = 0
    """Rows of forgotten recordings that are in files still, each file a violation."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the promise holds, and where it does not."""

    units: int
    """Planned."""
    recordings: int
    """Planned rows."""
    tasks: tuple[TaskVerdict, ...]
    violations: tuple[Violation, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing contradicts the promise; units may still be pending."""
        return not self.violations

    @property
    def complete(self) -> bool:
        """Whether, besides, nothing is pending."""
        return self.holds and bool(self.tasks) and not any(task.pending for task in self.tasks)


def verify(output: str, *, look: Look = WHOLE) -> Verdict:
    """Read the plan and every file of every task, and compare.

    Args:
        output: folder of the table.
        look: what is looked at of each file, committed or published.

    Raises:
        UserError: there is no table.
        StorageFault: something could not be read for longer than the retries.
    """
    require_table(output)
    found: list[Violation] = []
    # A run plans, then commits, then claims: read the other way round, what a run beside this one does is planned too.
    claim, files = _claim(output), {name: list_sizes(layout.task_folder(output, name)) for name in tasks(output)}
    try:
        plan = _planned(output)
        units = _units(output, plan, found)
    except UserError as error:
        file, _, message = str(error).partition(": ")
        return Verdict(0, 0, (), (Violation(file, message),))
    verdicts = tuple(_task(output, name, files[name], units, plan, found, look.units) for name in files)
    found += _success(output, claim, units, verdicts)
    published = published_check.contradictions(output, {id for _, id in plan.gone}, look.published)
    found += itertools.starmap(Violation, published)
    found += _traces(output, plan.forgetting, plan.names)
    return Verdict(len(units), sum(unit.count for unit in units), verdicts, tuple(found))


def format_verdict(output: str, verdict: Verdict) -> str:
    """One line that says whether the promise holds, then each violation with its file."""
    counts = "; ".join(
        f"{task.name}: {task.committed:,} of {task.committed + task.pending:,} units committed, "
        f"{counted(task.recordings, 'recording')} in {counted(task.rows, 'row')} of files{_besides(task)}, "
        f"{counted(task.errors, 'row')} with an error{_unsure(task)}"
        + (f", {task.pending:,} units pending" if task.pending else "")
        for task in verdict.tasks
    )
    told = counts or f"{verdict.units:,} units planned, no task has been run"
    if verdict.violations:
        count = len(verdict.violations)
        # Of a plan that cannot be read nothing was counted.
        seen = f"  ({told})" if counts or verdict.units else ""
        lines = [f"{redact(output)}: BROKEN, {count:,} violation{'s' * (count != 1)}{seen}"]
    else:
        state = "holds" if verdict.complete else "holds so far"
        lines = [f"{redact(output)}: the promise {state}  ({told})"]
    return "\n".join(lines + [f"  {each.file}: {each.message}" for each in verdict.violations])


def _unsure(task: TaskVerdict) -> str:
    return f" and {task.unsure:,} that may be of older versions" if task.unsure else ""


def _besides(task: TaskVerdict) -> str:
    old = task.rows - task.recordings - task.forgotten
    told = [f"{old:,} of older versions"] if old > 0 else []
    told += [f"{task.forgotten:,} of forgotten recordings"] if task.forgotten else []
    return f" ({', '.join(told)})" if told else ""


@dataclass(frozen=True, slots=True)
class _Planned:
    """The generations that there are, and what is to be known of their rows."""

    opened: Sequence[Generation]
    changes: Sequence[Superseded]
    forgetting: Forgotten
    gone: Sequence[OldRow]
    """Rows that are to be forgotten."""
    names: Names


def _planned(output: str) -> _Planned:
    require_plan(output)
    # In this order: of every row here it is known what took its place.
    opened = generations.opened(output)
    changes, forgetting = superseded(output), forgotten(output)
    return _Planned(opened, changes, forgetting, *search(output, forgetting))


def _units(output: str, plan: _Planned, found: list[Violation]) -> list[UnitRef]:
    """Units of the plan; every recording must be planned once, apart from rows that newer ones supersede."""
    old = {each.old for each in plan.changes}
    units: list[UnitRef] = []
    ids: list[np.ndarray] = [digests([])]
    for generation in plan.opened:
        # All columns, because what no reader has asked for yet is looked at too.
        for group, table in enumerate(generation.row_groups(PLAN_SCHEMA.names)):
            units += generations.unit_runs(table, generation, row_group=group)
            rows = zip(table.column("unit").to_pylist(), table.column("id").to_pylist(), strict=True)
            ids.append(digests([id for unit, id in rows if not old or (unit, id) not in old]))
    every = np.sort(np.concatenate(ids))
    double = int(np.count_nonzero(every[1:] == every[:-1]))
    if double:
        found.append(Violation(redact(plan_layout.plan_folder(output)), f"{double:,} recordings are planned twice"))
    if left := texts(output, plan.forgetting):
        message = f"{counted(left, 'row')} of forgotten recordings with text or metadata; {REMEDY}"
        found.append(Violation(redact(plan_layout.plan_folder(output)), message))
    if len({unit.name for unit in units}) < len(units):
        found.append(Violation(redact(plan_layout.plan_folder(output)), "two units have one name"))
    return units


def _task(
    output: str,
    name: str,
    files: Mapping[str, int],
    units: Sequence[UnitRef],
    plan: _Planned,
    found: list[Violation],
    look: unit_check.Look,
) -> TaskVerdict:
    try:
        record = read_record(output, name)
    except UserError as error:
        found.append(Violation(redact(layout.task_file(output, name)), str(error).partition(": ")[2]))
        record = None
    committed = _committed(layout.task_folder(output, name), files, {unit.name for unit in units}, found)
    gone = _gone(name, units, plan.changes, committed, plan.gone)
    done = [
        Committed(output, name, unit, committed[unit.name], record, gone) for unit in units if unit.name in committed
    ]
    seen = _looked_at(done, look)
    for unit_file, each in zip(done, seen, strict=True):
        found += [Violation(redact(unit_file.file), problem) for problem in each.problems]
    pending = sum(unit.concerns(name) and unit.name not in committed for unit in units)
    shown = sum(each.unit.count - len(gone.of_unit(each.unit.name)) for each in done)
    rows, errors, unsure, lost, barred = (
        sum(getattr(each, number) for each in seen) for number in ("rows", "errors", "unsure", "lost", "forgotten")
    )
    return TaskVerdict(name, len(done), pending, shown - lost, rows, errors, unsure, barred)


def _gone(
    task: str,
    units: Sequence[UnitRef],
    changes: Sequence[Superseded],
    committed: Collection[str],
    forgotten: Iterable[OldRow],
) -> Gone:
    """Which rows the files of a task may lack, or must not hold."""
    planned = {unit.name for unit in units if unit.concerns(task)}
    return Gone.of(hidden(changes, committed), forgotten, hidden(changes, planned.union(committed)))


def _committed(
    folder: str, files: Mapping[str, int], planned: Collection[str], found: list[Violation]
) -> dict[str, int]:
    """Bytes of the file of each planned unit; what else looks like one is a violation."""
    committed: dict[str, int] = {}
    for file, size in sorted(files.items()):
        unit = layout.unit_of(file)
        if unit is not None and unit in planned:
            problem = stub(size)
            if problem is None:
                committed[unit] = size
            else:
                found.append(Violation(redact(f"{folder}/{file}"), problem))
        elif file.endswith(".parquet") and not file.startswith("."):
            message = "no unit of the plan has this name; move the file away"
            found.append(Violation(redact(f"{folder}/{file}"), message))
    return committed


def _looked_at(done: Sequence[Committed], look: unit_check.Look) -> list[Looked]:
    """What a look at each file finds; at one with problems a second time, by what may be gone from it by then."""
    with threads(_READERS, "verify") as pool:
        seen = list(pool.map(look, done))
        doubtful = [number for number, each in enumerate(seen) if each.problems]
        if doubtful:
            now = _now([done[number] for number in doubtful])
            for number, again in zip(doubtful, pool.map(look, now), strict=True):
                seen[number] = again
    return seen


def _now(done: Sequence[Committed]) -> list[Committed]:
    """Files of one task, with what forgetting, or a vacuum after newer units, may have taken out of them meanwhile."""
    output, task = done[0].output, done[0].task
    committed = {unit for unit, size in unit_sizes(output, task).items() if stub(size) is None}
    # In this order: of every change here the unit is known.
    changes = superseded(output)
    gone = _gone(task, plan_store.units(output), changes, committed, forgotten_rows(output))
    return [replace(each, gone=gone) for each in done]


def _traces(output: str, gone: Forgotten, names: Names) -> Iterator[Violation]:
    """What tells of forgotten recordings besides rows; a draft that is not whole may yet be a process's at work."""
    if not gone:
        return
    for uri in told_by_runs(output, names):
        yield Violation(redact(uri), f"tells of forgotten recordings; {REMEDY}")
    for uri in told_by_scores(output, names):
        yield Violation(redact(uri), f"scores tell of forgotten recordings; {REMEDY}")
    for each in telling(output, gone, names):
        if each.proven:
            yield Violation(redact(each.uri), f"a draft that holds forgotten recordings; {REMEDY}")
        elif each.settled:
            yield Violation(redact(each.uri), f"a draft that may hold forgotten recordings; {REMEDY}")


def _claim(output: str) -> Success | UserError | None:
    """What is claimed, or why that cannot be told."""
    try:
        return read_success(output)
    except UserError as error:
        return error


def _success(
    output: str, claim: Success | UserError | None, units: Sequence[UnitRef], verdicts: Sequence[TaskVerdict]
) -> Iterator[Violation]:
    file = redact(plan_layout.success_file(output))
    if isinstance(claim, UserError):
        yield Violation(file, str(claim).partition(": ")[2])
    if not isinstance(claim, Success):
        return
    last = max((unit.generation for unit in units), default=0)
    if claim.generation > last:
        yield Violation(file, f"claims generation {claim.generation}, the plan ends with {last}")
    by_name = {verdict.name: verdict for verdict in verdicts}
    for task in claim.tasks:
        if task not in by_name:
            yield Violation(file, f"claims the task {task}, which is not there")
        elif claim.generation >= last and by_name[task].pending:
            yield Violation(file, f"claims {task} complete; {by_name[task].pending:,} units are missing")
