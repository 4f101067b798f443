"""What is committed against what is published: which units are to be read, which files to be rewritten. Mostly pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.plan.store import units
from pipeline.plan.unseen import unseen
from pipeline.storage.listing import children
from pipeline.storage.paths import canonical
from pipeline.table.done import unit_sizes
from pipeline.table.publish import places
from pipeline.table.publish.manifest import Manifest
from pipeline.threads import threads

MERGE_AT = 10
"""Files below half of a full one, of one partition, that are left alone; one more, and all of them become one."""
_LISTERS = 16
"""Folders of partitions listed at the same time."""


@dataclass(frozen=True, slots=True)
class State:
    """One committed unit."""

    size: int
    """Bytes of its file."""
    hidden: frozenset[str] = frozenset()
    """Ids of its rows that newer ones have taken the place of, and of forgotten ones."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a publish has to do."""

    kept: tuple[int, ...] = ()
    """Places of the files that stay as they are."""
    rewritten: tuple[int, ...] = ()
    """Places of the files whose rows go into new ones, those of `dropped` units left out."""
    dropped: frozenset[str] = frozenset()
    """Units whose published rows no longer hold."""
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


def committed_units(output: str, task: str) -> dict[str, State]:
    """State of each committed unit that the plan knows, in plan order.

    Raises:
        UserError, StorageFault: the plan cannot be read, or the folder not listed.
    """
    sizes = unit_sizes(output, task)
    old: defaultdict[str, set[str]] = defaultdict(set)
    for unit, id in unseen(output, sizes):
        old[unit].add(id)
    return {
        unit.name: State(sizes[unit.name], frozenset(old.get(unit.name, ())))
        for unit in units(output)
        if unit.name in sizes
    }


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
    """Published units whose file is another one by now, or gone: rows may have been forgotten. Pure."""
    return {unit for unit, held in before.units.items() if unit not in now or now[unit].size != held.size}


def difference(before: Manifest, now: Mapping[str, State], target: Target) -> Difference:
    """What has to be done to bring a set up to date. Pure."""
    if before.partition_by != target.partition_by:
        return Difference(dropped=frozenset(before.units), read=tuple(now), new=len(now.keys() - before.units.keys()))
    gone = gone_files(before, target.there)
    dropped = resized_units(before, now)
    dropped |= {
        unit
        for unit, held in before.units.items()
        if not gone.isdisjoint(held.files) or (unit in now and not held.hides(now[unit].hidden))
    }
    stale = {place for unit in dropped for place in before.units[unit].files} - gone
    read = tuple(unit for unit in now if unit in dropped or unit not in before.units)
    rewritten = stale | _small(before, gone | stale, target.file_bytes)
    return Difference(
        kept=tuple(place for place in range(len(before.files)) if place not in gone | rewritten),
        rewritten=tuple(sorted(rewritten)),
        dropped=frozenset(dropped),
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
