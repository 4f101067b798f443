"""Whether a manifest tells the truth about its files: sizes by one listing, rows by their footers or by reading all."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.storage import statistics
from pipeline.storage.paths import join, redact
from pipeline.storage.read import RangeFile
from pipeline.table.check import REMEDY
from pipeline.table.footers import read_footer
from pipeline.table.publish import manifest, places, rows
from pipeline.table.publish.difference import data_files
from pipeline.table.publish.manifest import PublishedFile
from pipeline.table.publish.withdrawing import holding, published_tasks
from pipeline.table.schema import difference, lacking

_AGAIN = "Publish again: what it held is made anew"
_DELETE = "Delete it and publish again"


@dataclass(frozen=True, slots=True)
class Look:
    """How the files of a set are looked at."""

    problem: Callable[[str, PublishedFile, pa.Schema | None], str | None]
    """What is wrong with one of the size that the manifest says, given its URI and the columns of the set."""
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
        folder, there = places.published_folder(output, task), data_files(output, task)
        problem = functools.partial(_problem, look, folder, there, found.schema)
        with ThreadPoolExecutor(look.at_once, thread_name_prefix="published") as pool:
            for file, told in zip(found.files, pool.map(problem, found.files), strict=True):
                if told:
                    yield redact(join(folder, file.path)), told
        if forgotten:
            for path in sorted(holding(folder, data_files(output, task), frozenset(forgotten))):
                yield redact(join(folder, path)), f"holds rows of forgotten recordings; {REMEDY}"


def _problem(
    look: Look, folder: str, there: Mapping[str, int], schema: pa.Schema | None, file: PublishedFile
) -> str | None:
    size = there.get(file.path)
    if size is None:
        return f"is gone, and the manifest names it. {_AGAIN}"
    if size != file.size:
        return f"has {size:,} bytes, the manifest says {file.size:,}. {_DELETE}"
    return look.problem(join(folder, file.path), file, schema)


def _by_footer(uri: str, file: PublishedFile, schema: pa.Schema | None) -> str | None:
    try:
        return _counted(read_footer(uri, file.size).num_rows, file)
    except (pa.ArrowException, FileNotFoundError, EOFError):
        return f"cannot be read as Parquet. {_DELETE}"


def _whole(uri: str, file: PublishedFile, schema: pa.Schema | None) -> str | None:
    """What is wrong with its rows, of which one row group is held at a time."""
    count = 0
    try:
        with io.BufferedReader(RangeFile(uri, 0, file.size), rows.BUFFER) as source:
            footer = statistics.opened(pa.PythonFile(source, mode="r"))
            for group, part in enumerate(rows.groups(uri, file.size)):
                if problem := lacking(part) or difference(part.schema, part.schema if schema is None else schema):
                    return f"{problem}. {_DELETE}"
                if name := statistics.misleading(footer, group, part):
                    return f"what its footer says of column {name} hides rows from who looks for them. {_DELETE}"
                count += part.num_rows
    except rows.DAMAGED as error:
        return f"cannot be read as Parquet ({rows.reason(error)}). {_DELETE}"
    return _counted(count, file)


def _counted(found: int, file: PublishedFile) -> str | None:
    return None if found == file.rows else f"has {found:,} rows, the manifest says {file.rows:,}. Delete it"


BY_FOOTER = Look(_by_footer, at_once=16)
"""Their footers alone: whether each is there and says as many rows as the manifest."""
WHOLE = Look(_whole, at_once=4)
"""All of their rows, with the checksums of their pages; a row group takes 64 MB and more."""
