"""Whether a manifest tells the truth about its files: sizes by one listing, rows by their footers."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.storage.paths import join, redact
from pipeline.table.check import REMEDY
from pipeline.table.footers import read_footer
from pipeline.table.publish import manifest, places
from pipeline.table.publish.difference import data_files
from pipeline.table.publish.manifest import PublishedFile
from pipeline.table.publish.withdrawing import holding, published_tasks

_READERS = 16
"""Footers read at the same time."""
_AGAIN = "Publish again: what it held is made anew"


def contradictions(output: str, forgotten: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """File, and what is wrong with it, of all that is published.

    Args:
        output: folder of the table.
        forgotten: ids whose rows no file may hold, named by the manifest or not; where there are none, footers are
            all that is read.

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
        problem = functools.partial(_problem, folder, data_files(output, task))
        with ThreadPoolExecutor(_READERS, thread_name_prefix="published") as pool:
            for file, told in zip(found.files, pool.map(problem, found.files), strict=True):
                if told:
                    yield redact(join(folder, file.path)), told
        if forgotten:
            for path in sorted(holding(folder, data_files(output, task), frozenset(forgotten))):
                yield redact(join(folder, path)), f"holds rows of forgotten recordings; {REMEDY}"


def _problem(folder: str, there: Mapping[str, int], file: PublishedFile) -> str | None:
    size = there.get(file.path)
    if size is None:
        return f"is gone, and the manifest names it. {_AGAIN}"
    if size != file.size:
        return f"has {size:,} bytes, the manifest says {file.size:,}. Delete it and publish again"
    try:
        rows = read_footer(join(folder, file.path), size).num_rows
    except (pa.ArrowException, FileNotFoundError, EOFError):
        return "cannot be read as Parquet. Delete it and publish again"
    return None if rows == file.rows else f"has {rows:,} rows, the manifest says {file.rows:,}. Delete it"
