"""Whether a manifest tells the truth about its files: sizes by one listing, rows by their footers or by reading all.

Whoever reads all of them finds rows that are in the set twice too, files that are not those that were published, and
units of which there are more or fewer rows than the plan has.
"""

from __future__ import annotations

import functools
import io
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.corpus import Seconds
from pipeline.errors import UserError
from pipeline.plan.forgotten import forgotten_rows
from pipeline.plan.store import units
from pipeline.plan.superseded import superseded
from pipeline.quantities import counted
from pipeline.storage import statistics
from pipeline.storage.hashed import HashedFile
from pipeline.storage.paths import join, redact
from pipeline.storage.read import RangeFile
from pipeline.table.check import REMEDY, UNTOLD
from pipeline.table.drafts import age
from pipeline.table.footers import read_footer
from pipeline.table.holding import by_unit
from pipeline.table.publish import doubles, manifest, places, rows
from pipeline.table.publish.difference import data_files, foreign
from pipeline.table.publish.manifest import Held, Manifest, PublishedFile
from pipeline.table.publish.withdrawing import holding, published_tasks
from pipeline.table.schema import difference, lacking
from pipeline.threads import threads

_SETTLED: Seconds = 3600.0
"""Files without a manifest, of which the last came less long ago, may be those of a first publish that is at work."""
_AGAIN = "Publish again: what it held is made anew"
_DELETE = "Delete it and publish again"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    problem: str | None
    """What is wrong."""
    ids: bytes = b""
    """Digests of the ids of its rows, where they were read."""
    units: Mapping[str, int] | None = None
    """How many of its rows are of which unit, where they were read."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the files of a set are looked at."""

    of_file: Callable[[str, PublishedFile, pa.Schema | None], Looked]
    """What there is to one of the size that the manifest says, given its URI and the columns of the set."""
    at_once: int
    """Files looked at at the same time."""


@dataclass(frozen=True, slots=True)
class _Planned:
    """What the plan says of units that may be published."""

    counts: Mapping[str, int]
    """Recordings of each."""
    spare: Mapping[str, frozenset[str]]
    """Ids of rows that newer ones may have taken the place of, and of forgotten ones, by unit."""

    def least(self, unit: str) -> int:
        """Rows that a unit has in the set when all that may be hidden are."""
        return self.counts[unit] - len(self.spare.get(unit, ()))

    def most(self, unit: str, held: Held) -> int:
        """Rows that it has when none is hidden but those that were when it was published."""
        return self.counts[unit] - held.hidden


def contradictions(output: str, forgotten: Collection[str], look: Look) -> Iterator[tuple[str, str]]:
    """File, and what is wrong with it, of all that is published.

    Args:
        output: folder of the table.
        forgotten: ids whose rows no file may hold, named by the manifest or not.
        look: what is read of the files; where something is forgotten, their ids are read besides.

    Raises:
        StorageFault: something cannot be read.
    """
    sets: dict[str, Manifest] = {}
    for task in published_tasks(output):
        try:
            sets[task] = manifest.newest(output, task)
        except UserError as error:
            name, _, message = str(error).partition(": ")
            yield name, message
    # Behind them, for what is published has been planned by then.
    planned = _planned(output) if sets else _Planned({}, {})
    for task, found in sets.items():
        folder, there = places.published_folder(output, task), data_files(output, task)
        if not found.number and _settled(folder, there):
            yield (
                redact(folder),
                f"has {counted(len(there), 'file')} and no manifest that names any. Publish again, or remove it",
            )
        if told := foreign(found, planned.counts):
            yield redact(folder), told
        else:
            for path, problem in _of_set(look, folder, there, found, planned):
                yield redact(join(folder, path)), problem
        if forgotten:
            for path in sorted(holding(folder, there, frozenset(forgotten))):
                yield redact(join(folder, path)), f"holds rows of forgotten recordings; {REMEDY}"


def _settled(folder: str, there: Collection[str]) -> bool:
    """Whether there are files, and nobody has added one for a while."""
    ages = [old for path in there if (old := age(join(folder, path))) is not None]
    return min(ages, default=0.0) >= _SETTLED


def _planned(output: str) -> _Planned:
    old = itertools.chain((each.old for each in superseded(output)), forgotten_rows(output))
    return _Planned({unit.name: unit.count for unit in units(output)}, by_unit(old))


def _of_set(
    look: Look, folder: str, there: Mapping[str, int], found: Manifest, planned: _Planned
) -> Iterator[tuple[str, str]]:
    """Path below the folder, and what is wrong with it."""
    ids, sound, read, counts = bytearray(), [], 0, Counter[str]()
    units_of = found.units_of_files()
    for place, (file, seen) in enumerate(_looked(look, folder, there, found, found.files)):
        ids += seen.ids
        counts.update(seen.units or {})
        if seen.problem:
            yield file.path, seen.problem
        elif seen.units is not None and seen.units.keys() != units_of[place]:
            yield file.path, f"holds rows of other units than the manifest says. {_DELETE}"
        else:
            sound.append(file)
            read += seen.units is not None
    twice = doubles.doubled(ids)
    if read == len(found.files) and not len(twice):
        yield from _miscounted(found, planned, counts)
    if len(twice):
        # Which rows they are of is read again: ids of all rows would not fit in memory.
        again = Look(functools.partial(_twice, twice), look.at_once)
        for file, seen in _looked(again, folder, there, found, sound):
            if seen.problem:
                yield file.path, seen.problem


def _miscounted(found: Manifest, planned: _Planned, counts: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Files of units of which there are more or fewer rows than the plan has; the first unit of each file is told."""
    told = set()
    for unit, held in found.units.items():
        least, most, rows = planned.least(unit), planned.most(unit, held), counts.get(unit, 0)
        place = min(held.files, default=None)
        if least <= rows <= most or place in told:
            continue
        told.add(place)
        path = places.MANIFESTS_FOLDER if place is None else found.files[place].path
        if least > most:
            # What was hidden when it was published is hidden no more.
            yield path, f"lacks {counted(least - most, 'row')} of the unit {unit} {UNTOLD}"
            continue
        wanted = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        yield path, f"{counted(rows, 'row')} of the unit {unit}, for which the plan has {wanted}. {_DELETE}"


def _looked(
    look: Look, folder: str, there: Mapping[str, int], found: Manifest, files: Sequence[PublishedFile]
) -> Iterator[tuple[PublishedFile, Looked]]:
    of_file = functools.partial(_of_file, look, folder, there, found.schema)
    with threads(look.at_once, "published") as pool:
        yield from zip(files, pool.map(of_file, files), strict=True)


def _of_file(
    look: Look, folder: str, there: Mapping[str, int], schema: pa.Schema | None, file: PublishedFile
) -> Looked:
    size = there.get(file.path)
    if size is None:
        return Looked(f"is gone, and the manifest names it. {_AGAIN}")
    if size != file.size:
        return Looked(f"has {size:,} bytes, the manifest says {file.size:,}. {_DELETE}")
    return look.of_file(join(folder, file.path), file, schema)


def _by_footer(uri: str, file: PublishedFile, schema: pa.Schema | None) -> Looked:
    try:
        return Looked(_counted(read_footer(uri, file.size).num_rows, file))
    except (pa.ArrowException, FileNotFoundError, EOFError):
        return Looked(f"cannot be read as Parquet. {_DELETE}")


def _whole(uri: str, file: PublishedFile, schema: pa.Schema | None) -> Looked:
    """What is wrong with its rows, of which one row group is held at a time, and their ids."""
    count, ids, found = 0, bytearray(), Counter[str]()
    raw = HashedFile(uri, file.size)
    try:
        with (
            io.BufferedReader(RangeFile(uri, 0, file.size), rows.BUFFER) as end,
            io.BufferedReader(raw, rows.BUFFER) as source,
        ):
            footer = statistics.opened(pa.PythonFile(end, mode="r"))
            for group, part in enumerate(rows.groups_of(source)):
                if problem := lacking(part) or difference(part.schema, part.schema if schema is None else schema):
                    return Looked(f"{problem}. {_DELETE}")
                if name := statistics.misleading(footer, group, part):
                    return Looked(
                        f"what its footer says of column {name} hides rows from who looks for them. {_DELETE}"
                    )
                count += part.num_rows
                ids += doubles.id_digests(part)
                found.update(
                    {each["values"]: each["counts"] for each in part.column("unit").value_counts().to_pylist()}
                )
            if file.digest and raw.digest() != file.digest:
                return Looked(f"has other bytes than were published, and as many. {_DELETE}")
    except rows.DAMAGED as error:
        return _unreadable(error)
    return Looked(_counted(count, file), bytes(ids), found)


def _twice(twice: np.ndarray, uri: str, file: PublishedFile, schema: pa.Schema | None) -> Looked:
    """Whether it holds rows of ids that come more than once."""
    try:
        count, example = doubles.rows_of(twice, rows.groups(uri, file.size, columns=["id"]))
    except rows.DAMAGED as error:
        return _unreadable(error)
    if not count:
        return Looked(None)
    verb = "is" if count == 1 else "are"
    return Looked(
        f"has {counted(count, 'row')} that {verb} in this set more than once, such as of {example!r}. {_DELETE}"
    )


def _unreadable(error: Exception) -> Looked:
    return Looked(f"cannot be read as Parquet ({rows.reason(error)}). {_DELETE}")


def _counted(found: int, file: PublishedFile) -> str | None:
    return None if found == file.rows else f"has {found:,} rows, the manifest says {file.rows:,}. Delete it"


BY_FOOTER = Look(_by_footer, at_once=16)
"""Their footers alone: whether each is there and says as many rows as the manifest."""
WHOLE = Look(_whole, at_once=4)
"""All of their rows, with the checksums of their pages; a row group takes 64 MB and more."""
