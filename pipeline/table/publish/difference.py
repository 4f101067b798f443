"""What is committed against what is published: which units are to be read, which files to be rewritten. Mostly pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pipeline.errors import UserError
from pipeline.plan.store import units
from pipeline.plan.unseen import unseen
from pipeline.quantities import counted
from pipeline.storage.listing import children
from pipeline.storage.paths import canonical, redact
from pipeline.table.done import unit_sizes
from pipeline.table.publish import places
from pipeline.table.publish.manifest import Held, Manifest
from pipeline.threads import threads

MERGE_AT = 10
"""Files below half of a full one, of one partition, that are left alone; one more, and all of them become one."""
_LISTERS = 16
"""Folders of partitions listed at the same time."""
_NOTHING = Manifest(0)


@dataclass(frozen=True, slots=True)
class State:
    """One unit that is committed, or was when it was published."""

    size: int | None
    """Bytes of its file; None where that is not there, and what is published are the only rows of it."""
    hidden: frozenset[str] = frozenset()
    """Ids of its rows that newer ones have taken the place of, and of forgotten ones."""

    def agrees(self, held: Held) -> bool:
        """Say whether what is published of the unit is what there is to it now."""
        return self.size in (None, held.size) and held.hides(self.hidden)


@dataclass(frozen=True, slots=True)
class Difference:
    """What a publish has to do."""

    kept: tuple[int, ...] = ()
    """Places of the files that stay as they are."""
    rewritten: tuple[int, ...] = ()
    """Places of the files whose rows go into new ones, those of `dropped` units left out."""
    dropped: frozenset[str] = frozenset()
    """Units whose published rows no longer hold."""
    away: frozenset[str] = frozenset()
    """Published units that are not committed now; their rows stay, but for hidden ones."""
    lost: int = 0
    """Units that are neither committed now nor published whole any more."""
    read: tuple[str, ...] = ()
    """Units to be read from their files, in plan order."""
    new: int = 0
    """Units among them that are not published at all yet."""

    @property
    def nothing(self) -> bool:
        """Whether the set is what it should be."""
        return not (self.rewritten or self.read or self.dropped)


@dataclass(frozen=True, slots=True)
class Target:
    """How the files of the set should be."""

    partition_by: str | None
    file_bytes: int
    there: Mapping[str, int] = field(default_factory=dict)
    """Files that there are: path below the folder of the set -> bytes."""


def present_units(
    output: str, task: str, before: Manifest = _NOTHING, there: Mapping[str, int] | None = None
) -> dict[str, State]:
    """State of each unit of the plan that is committed, or whose published files are whole, in plan order.

    Args:
        output: folder of the table.
        task: name of the task's folder below it.
        before: what is published.
        there: files of it that there are, see `data_files`.

    Raises:
        UserError: the plan cannot be read, or lacks units that are published.
        StorageFault: the plan cannot be read, or the folder not listed.
    """
    sizes = unit_sizes(output, task)
    gone = gone_files(before, there or {})
    away = {unit for unit, held in before.units.items() if unit not in sizes and gone.isdisjoint(held.files)}
    planned = [unit.name for unit in units(output)]
    if told := foreign(before, planned):
        raise UserError(f"{redact(places.published_folder(output, task))}: {told}.")
    old: defaultdict[str, set[str]] = defaultdict(set)
    for unit, id in unseen(output, {*sizes, *away}):
        old[unit].add(id)
    return {
        name: State(sizes.get(name), frozenset(old.get(name, ()))) for name in planned if name in sizes or name in away
    }


def foreign(found: Manifest, planned: Collection[str]) -> str | None:
    """Say that units are published which the plan does not have; None where it has all. Pure."""
    unknown = found.units.keys() - set(planned)
    if not unknown:
        return None
    return (
        f"{counted(len(unknown), 'unit')} of what is published, such as {min(unknown)}, the plan does not have: one of "
        "both is of another table. Restore the plan, or move this folder away and publish again"
    )


def data_files(output: str, task: str) -> dict[str, int]:
    """Data files of a set that there are, whether a manifest names them or not: path below its folder -> bytes."""
    folder = canonical(places.published_folder(output, task))
    folders, files = children(folder)
    with threads(_LISTERS, "published") as pool:
        files += itertools.chain.from_iterable(each for _, each in pool.map(children, folders))
    found = {entry.uri[len(folder) + 1 :]: entry.size for entry in files}
    return {path: size for path, size in found.items() if places.is_data(path)}


def gone_files(before: Manifest, there: Mapping[str, int]) -> set[int]:
    """Places of the files that are not there any more, or are not what they were. Pure."""
    return {place for place, file in enumerate(before.files) if there.get(file.path) != file.size}


def resized_units(before: Manifest, now: Mapping[str, State]) -> set[str]:
    """Published units whose file is another one by now: rows may have been forgotten. Pure."""
    return {unit for unit, held in before.units.items() if unit in now and now[unit].size not in (None, held.size)}


def difference(before: Manifest, now: Mapping[str, State], target: Target) -> Difference:
    """What has to be done to bring a set up to date. Pure."""
    anew = before.partition_by != target.partition_by
    gone = gone_files(before, target.there)
    away = {unit for unit, state in now.items() if state.size is None and unit in before.units}
    changed = {
        unit
        for unit, held in before.units.items()
        if anew or unit not in now or not gone.isdisjoint(held.files) or not now[unit].agrees(held)
    }
    dropped = changed - away
    # A set that is made anew needs no old file, but for rows that are nowhere else.
    stale = {place for unit in (away if anew else changed) for place in before.units[unit].files} - gone
    rewritten = stale | (set() if anew else _small(before, gone | stale, target.file_bytes))
    read = tuple(unit for unit in now if unit in dropped or unit not in before.units)
    return Difference(
        kept=() if anew else tuple(place for place in range(len(before.files)) if place not in gone | rewritten),
        rewritten=tuple(sorted(rewritten)),
        dropped=frozenset(dropped),
        away=frozenset(away),
        lost=len(before.units.keys() - now.keys()),
        read=read,
        new=sum(unit not in before.units for unit in read),
    )


def _small(before: Manifest, without: set[int], file_bytes: int) -> set[int]:
    """Places of small files, in partitions where they have piled up."""
    small: defaultdict[str | None, list[int]] = defaultdict(list)
    for place, file in enumerate(before.files):
        if place not in without and file.size < file_bytes // 2:
            small[file.partition].append(place)
    return {place for group in small.values() if len(group) > MERGE_AT for place in group}
