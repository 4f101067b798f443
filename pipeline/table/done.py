"""What is committed, and what is left to do: the plan minus one listing of the task's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.plan.generations import UnitRef
from pipeline.storage.listing import list_sizes
from pipeline.storage.paths import redact
from pipeline.table import layout

_SMALLEST = 12
"""Bytes of which no Parquet file has less: its mark, the length of its footer, its mark again."""


def unit_sizes(output: str, task: str) -> dict[str, int]:
    """Bytes of each file that has a unit's name, by unit; none where the folder does not exist.

    Raises:
        StorageFault, UserError: the folder cannot be listed.
    """
    found = list_sizes(layout.task_folder(output, task))
    return {unit: size for name, size in found.items() if (unit := layout.unit_of(name)) is not None}


def stub(size: int) -> str | None:
    """Say why a file of so many bytes cannot be a unit's, and what to do; None where it can. Pure."""
    if size >= _SMALLEST:
        return None
    return f"is no unit's file ({size} bytes). Delete it; the next run does that unit again."


def committed_sizes(output: str, task: str) -> dict[str, int]:
    """Bytes of the file of each unit that is committed for a task; none where the folder does not exist.

    Raises:
        StorageFault, UserError: the folder cannot be listed, or a file in it is too small to be a unit's.
    """
    sizes = unit_sizes(output, task)
    stubs = sorted(unit for unit, size in sizes.items() if stub(size))
    if stubs:
        more = f" There are {len(stubs) - 1:,} more; verify names each." if len(stubs) > 1 else ""
        raise UserError(f"{redact(layout.unit_file(output, task, stubs[0]))}: {stub(sizes[stubs[0]])}{more}")
    return sizes


def committed(output: str, task: str) -> set[str]:
    """Names of the units that are committed for a task; raises as `committed_sizes`."""
    return set(committed_sizes(output, task))


@dataclass(frozen=True, slots=True)
class Standing:
    """What one listing tells of a task and some units."""

    sizes: Mapping[str, int]
    """Bytes of the file of each of the units that is committed."""
    pending: tuple[UnitRef, ...]
    """The other ones that it has to do, in plan order."""


def standing(output: str, task: str, units: Sequence[UnitRef]) -> Standing:
    """Which of some units are committed for a task; raises as `committed_sizes`."""
    sizes = committed_sizes(output, task)
    return Standing(
        {unit.name: sizes[unit.name] for unit in units if unit.name in sizes},
        tuple(unit for unit in units if unit.name not in sizes and unit.concerns(task)),
    )


def pending(output: str, task: str, units: Sequence[UnitRef]) -> list[UnitRef]:
    """Units of the plan that are not committed for a task, in plan order."""
    return list(standing(output, task, units).pending)
