"""Take the rows of some recordings out of what is published."""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import StorageFault, UserError
from pipeline.storage.listing import list_names
from pipeline.storage.paths import join, redact
from pipeline.table.publish import manifest, places, rows
from pipeline.table.publish.difference import data_files
from pipeline.table.publish.manifest import Manifest
from pipeline.table.publish.splitter import splitting
from pipeline.table.publish.succession import FILE_BYTES, TRIES, bring_into_force, succeeding
from pipeline.threads import threads

_READERS = 8
"""Files whose ids are looked through at the same time."""


def withdraw(output: str, ids: Collection[str]) -> list[str]:
    """Rewrite the published files that hold rows of these ids, and remove the files that held them at once.

    Call it after the unit files have been rewritten: what is published later comes from those. Files that no
    manifest names any more, or not yet, are removed too where they hold such a row.

    Args:
        output: folder of the table.
        ids: values of the column `id`.

    Returns:
        URIs of the files that are gone; [] where nothing is published or no file holds such a row.

    Raises:
        StorageFault, UserError: a file cannot be read or written; call it again.
    """
    wanted = frozenset(ids)
    return [file for task in published_tasks(output) for file in _withdraw(output, task, wanted)] if wanted else []


def published_tasks(output: str) -> list[str]:
    """Names of the tasks of which something is, or was about to be, published."""
    names = list_names(join(output, places.PUBLISHED_FOLDER))
    return [name.rstrip("/") for name in names if name.endswith("/") and not name.startswith(".")]


def _withdraw(output: str, task: str, ids: frozenset[str]) -> list[str]:
    folder = places.published_folder(output, task)
    for _ in range(TRIES):
        before = manifest.newest(output, task)
        held = holding(folder, data_files(output, task), ids)
        named = [place for place, file in enumerate(before.files) if file.path in held]
        if named and not _rewrite(output, task, before, named, ids):
            continue
        gone = [join(folder, path) for path in sorted(held)]
        for file in gone:
            places.remove(file)
        return gone
    raise StorageFault(f"{redact(output)}: somebody else published {task} {TRIES} times meanwhile")


def _rewrite(output: str, task: str, before: Manifest, named: Sequence[int], ids: frozenset[str]) -> bool:
    """Bring a set into force in which some files are replaced by others without these rows."""
    folder, schema = places.published_folder(output, task), before.schema
    if schema is None:
        raise UserError(f"{redact(folder)}: the manifest names files and no columns. Delete it and publish again.")
    kept = [place for place in range(len(before.files)) if place not in named]
    with splitting(folder, schema, column=before.partition_by, file_bytes=FILE_BYTES) as split:
        for part in rows.of_places(folder, before, named, schema):
            split.add(rows.without(part, "id", ids))
        written = split.finish()
        # The state of their units stays the old one, so that the next publish reads these again whoever rewrote them.
        states = {unit: held._replace(files=()) for unit, held in before.units.items()}
        after = succeeding(before, kept, written, states, partition_by=before.partition_by, schema=schema)
    return bring_into_force(output, task, after, split)


def holding(folder: str, there: dict[str, int], ids: frozenset[str]) -> set[str]:
    """Paths of the files that hold a row of one of some ids; `there` has their sizes."""
    with threads(_READERS, "withdraw") as pool:
        found = pool.map(functools.partial(_holds, folder, ids=ids), there, there.values())
        return {path for path, holds in zip(there, found, strict=True) if holds}


def _holds(folder: str, path: str, size: int, *, ids: frozenset[str]) -> bool:
    uri = join(folder, path)
    wanted = pa.array(sorted(ids), pa.string())
    try:
        # All of them, for what a footer says of its columns has no checksum: by that a reader may pass over a row.
        return any(_any_of(part, wanted) for part in rows.groups(uri, size, columns=["id"]))
    except FileNotFoundError:
        return False
    except rows.DAMAGED as error:
        raise UserError(
            f"{redact(uri)}: cannot be read as Parquet ({rows.reason(error)}), so nobody knows whom it holds. Delete "
            "it; the next publish makes it again."
        ) from error


def _any_of(part: pa.Table, wanted: pa.Array) -> bool:
    if "id" not in part.column_names:
        raise pa.ArrowInvalid("it has no column id")
    return bool(pc.any(pc.is_in(part.column("id"), value_set=wanted)).as_py())
