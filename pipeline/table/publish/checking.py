"""Whether a manifest tells the truth about its files: sizes by one listing, rows by their footers or by reading all.

Whoever reads all of them finds rows that are in the set twice, too.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError
from pipeline.quantities import counted
from pipeline.storage import statistics
from pipeline.storage.paths import join, redact
from pipeline.storage.read import RangeFile
from pipeline.table.check import REMEDY
from pipeline.table.footers import read_footer
from pipeline.table.publish import doubles, manifest, places, rows
from pipeline.table.publish.difference import data_files
from pipeline.table.publish.manifest import Manifest, PublishedFile
from pipeline.table.publish.withdrawing import holding, published_tasks
from pipeline.table.schema import difference, lacking
from pipeline.threads import threads

_AGAIN = "Publish again: what it held is made anew"
_DELETE = "Delete it and publish again"


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found."""

    problem: str | None
    """What is wrong."""
    ids: bytes = b""
    """Digests of the ids of its rows, where they were read."""


@dataclass(frozen=True, slots=True)
class Look:
    """How the files of a set are looked at."""

    of_file: Callable[[str, PublishedFile, pa.Schema | None], Looked]
    """What there is to one of the size that the manifest says, given its URI and the columns of the set."""
    at_once: int
    """Files looked at at the same time."""


def contradictions(output: str, forgotten: Collection[str], look: Look) -> Iterator[tuple[str, str]]:
    """File, and what is wrong with it, of all that is published.

    Args:
        output: folder of the table.
        forgotten: ids whose rows no file may hold, named by the manifest or not.
        look: what is read of the files; where something is forgotten, their ids are read besides.

    Raises:
        StorageFault: something cannot be read.
    """
    for task in published_tasks(output):
        try:
            found = manifest.newest(output, task)
        except UserError as error:
            name, _, message = str(error).partition(": ")
            yield name, message
            continue
        folder = places.published_folder(output, task)
        for file, told in _of_set(look, folder, data_files(output, task), found):
            yield redact(join(folder, file.path)), told
        if forgotten:
            for path in sorted(holding(folder, data_files(output, task), frozenset(forgotten))):
                yield redact(join(folder, path)), f"holds rows of forgotten recordings; {REMEDY}"


def _of_set(look: Look, folder: str, there: Mapping[str, int], found: Manifest) -> Iterator[tuple[PublishedFile, str]]:
    ids, sound = bytearray(), []
    for file, seen in _looked(look, folder, there, found, found.files):
        ids += seen.ids
        if seen.problem:
            yield file, seen.problem
        else:
            sound.append(file)
    twice = doubles.doubled(ids)
    if len(twice):
        # Which rows they are of is read again: ids of all rows would not fit in memory.
        again = Look(functools.partial(_twice, twice), look.at_once)
        for file, seen in _looked(again, folder, there, found, sound):
            if seen.problem:
                yield file, seen.problem


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
    count, ids = 0, bytearray()
    try:
        with io.BufferedReader(RangeFile(uri, 0, file.size), rows.BUFFER) as source:
            footer = statistics.opened(pa.PythonFile(source, mode="r"))
            for group, part in enumerate(rows.groups(uri, file.size)):
                if problem := lacking(part) or difference(part.schema, part.schema if schema is None else schema):
                    return Looked(f"{problem}. {_DELETE}")
                if name := statistics.misleading(footer, group, part):
                    return Looked(
                        f"what its footer says of column {name} hides rows from who looks for them. {_DELETE}"
                    )
                count += part.num_rows
                ids += doubles.id_digests(part)
    except rows.DAMAGED as error:
        return _unreadable(error)
    return Looked(_counted(count, file), bytes(ids))


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
