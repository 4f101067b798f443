"""The rows of a task that can be read, whatever is damaged beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import UserError
from pipeline.plan.store import units
from pipeline.plan.unseen import unseen
from pipeline.storage.paths import redact
from pipeline.table import layout
from pipeline.table.done import stub, unit_sizes
from pipeline.table.read import Table, dataset_of, read_table
from pipeline.table.task import read_record
from pipeline.table.unit_file import read_unit
from pipeline.threads import threads

T = TypeVar("T")

_READERS = 8
"""Unit files read at the same time."""


def beside_damage(output: str, task: str, use: Callable[[Table], T]) -> tuple[T, tuple[str, ...]]:
    """What `use` makes of a task's rows, and the damaged files whose rows it did not get, each with the remedy.

    Only where it meets one, every file is read to find all of them.

    Raises:
        UserError: as `read_table`, and what `use` does where no file is damaged.
        StorageFault: something cannot be read.
    """
    try:
        return use(read_table(output, task=task)), ()
    except UserError:
        schema, sizes = read_record(output, task).schema, unit_sizes(output, task)
        files = {unit.name: layout.unit_file(output, task, unit.name) for unit in units(output) if unit.name in sizes}
        with threads(_READERS, "damage") as pool:
            told = dict(zip(files, pool.map(_damage, files.values(), map(sizes.__getitem__, files)), strict=True))
        damaged = tuple(each for each in told.values() if each)
        if not damaged:
            raise
    sound = [unit for unit in files if not told[unit]]
    rest = [files[unit] for unit in sound]
    return use(Table(dataset_of(output, rest, schema, unseen(output, sound)), rest)), damaged


def _damage(uri: str, size: int) -> str | None:
    if told := stub(size):
        return f"{redact(uri)}: {told}"
    try:
        read_unit(uri)
    except UserError as error:
        return str(error)
    return None
