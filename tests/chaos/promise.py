"""The promise, as every chaos part checks it: what is planned is in the table once, and nothing else is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow.compute as pc

from pipeline.plan import generations, superseded
from pipeline.storage.listing import list_names
from pipeline.storage.paths import canonical
from pipeline.table import layout, read_table
from pipeline.table.task import tasks
from pipeline.table.unit_file import read_unit
from pipeline.table.verify import format_verdict, verify


class Broken(AssertionError):
    """A promise that did not hold; the message says which and where."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was compared."""

    planned: int
    """Recordings of the plan, each in its newest version."""
    rows: int
    """Rows that readers see, of all tasks together."""
    errors: int
    """Rows with an error among them."""
    units: int
    """Files that a plain glob finds, of all tasks together."""


def check(output: object, *, ids: Iterable[str] | None = None, errors: int | None = 0) -> Kept:
    """Compare a finished table with its plan.

    Args:
        output: folder of the table, on any storage.
        ids: what must be planned, where the caller knows; neither more nor less.
        errors: rows with an error that there must be, of all tasks together; None leaves them uncounted.

    Raises:
        Broken: a recording is missing, there twice or not planned; a file is no whole unit of the plan; `verify`
            finds anything, or finds the table incomplete; another number of error rows.
    """
    where = canonical(str(output))
    planned = planned_ids(where)
    if ids is not None and planned != set(ids):
        _fail(where, f"planned is something else than what is there: {_some(planned ^ set(ids))}")
    names = tasks(where)
    if not names:
        _fail(where, "no task has any rows")
    rows = failed = files = 0
    for task in names:
        count, wrong = _compare(where, task, planned)
        rows, failed, files = rows + count, failed + wrong, files + len(watch(where, task, set()))
    if errors is not None and failed != errors:
        _fail(where, f"{failed} rows have an error, not {errors}: {_reasons(where, names)}")
    verdict = verify(where)
    if not verdict.complete:
        _fail(where, format_verdict(where, verdict))
    return Kept(len(planned), rows, failed, files)


def planned_ids(output: str) -> set[str]:
    """Ids of the plan, read without the code that plans.

    Raises:
        Broken: one is planned twice, apart from versions that newer ones supersede.
    """
    old = {each.old for each in superseded(output)}
    found: Counter[str] = Counter()
    for number in generations.numbers(output):
        for table in generations.open_generation(output, number).row_groups(("id", "unit")):
            pairs = zip(table.column("unit").to_pylist(), table.column("id").to_pylist(), strict=True)
            found.update(id for unit, id in pairs if (unit, id) not in old)
    if twice := [id for id, count in found.items() if count > 1]:
        _fail(output, f"planned twice: {_some(twice)}")
    return set(found)


def watch(output: str, task: str, seen: set[str]) -> set[str]:
    """Read what a plain glob finds beyond `seen`, as any reader may at any moment; give all that it finds now.

    Raises:
        Broken: a file is not a whole unit.
    """
    folder = layout.task_folder(output, task)
    found = {name for name in list_names(folder) if name.endswith(".parquet") and not name.startswith(".")}
    for name in sorted(found - seen):
        table = read_unit(f"{folder}/{name}")
        told = int(table.schema.metadata[b"voxmill.rows"])
        if table.num_rows != told:
            _fail(output, f"{task}/{name} has {table.num_rows} of {told} rows")
    return found


def _compare(output: str, task: str, planned: set[str]) -> tuple[int, int]:
    """Rows of a task and how many have an error."""
    table = read_table(output, task=task).to_table(columns=["id", "unit", "error"])
    found = Counter(table.column("id").to_pylist())
    if twice := [id for id, count in found.items() if count > 1]:
        _fail(output, f"{task} has two rows of {_some(twice)}")
    if set(found) != planned:
        _fail(output, f"{task} lacks {_some(planned - set(found))}, has unplanned {_some(set(found) - planned)}")
    units = set(table.column("unit").to_pylist())
    files = {layout.unit_of(name) for name in watch(output, task, set())}
    if orphans := files - units:
        old = {each.old[0] for each in superseded(output)}
        if orphans - old:
            _fail(output, f"{task}: a glob finds files that no reader may: {_some(map(str, orphans - old))}")
    return table.num_rows, table.num_rows - table.column("error").null_count


def _reasons(output: str, names: Iterable[str]) -> str:
    told: Counter[str] = Counter()
    for task in names:
        broken = read_table(output, task=task).to_table(columns=["error"], filter=pc.field("error").is_valid())
        told.update(f"{each['stage']}.{each['type']}: {each['message']}" for each in broken["error"].to_pylist())
    return "; ".join(f"{count} x {reason}" for reason, count in told.most_common(3))


def _some(ids: Iterable[str]) -> str:
    first = sorted(ids)
    return f"{len(first)} ({', '.join(first[:3])})" if first else "nothing"


def _fail(output: str, message: str) -> None:
    raise Broken(f"{output}: {message}")
