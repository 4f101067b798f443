"""How one published set follows another: what stays of its files, and where the rows of each unit are then."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pyarrow as pa

from pipeline.table.publish import manifest
from pipeline.table.publish.manifest import Held, Manifest
from pipeline.table.publish.splitter import Splitter, Written

FILE_BYTES = 512 * 10**6
"""At which a file is full, where nobody says otherwise."""
TRIES = 5
"""How often somebody else may publish meanwhile."""


def succeeding(
    before: Manifest,
    kept: Sequence[int],
    written: Sequence[Written],
    states: dict[str, Held],
    *,
    partition_by: str | None,
    schema: pa.Schema,
) -> Manifest:
    """The manifest that follows another one. Pure, but for its name and time.

    Args:
        before: the one that was in force.
        kept: places of its files that stay.
        written: the new files.
        states: of the units of the new set; in which files they are is found here.
        partition_by: column that the set is partitioned by.
        schema: of its rows.
    """
    moved = {place: number for number, place in enumerate(kept)}
    files: dict[str, list[int]] = {unit: [] for unit in states}
    for unit, held in before.units.items():
        if unit in files:
            files[unit] += [moved[place] for place in held.files if place in moved]
    for number, each in enumerate(written, start=len(kept)):
        for unit in each.units:
            files[unit].append(number)
    return Manifest(
        number=before.number + 1,
        publication=uuid.uuid4().hex,
        published=datetime.now(UTC).isoformat(timespec="seconds"),
        partition_by=partition_by,
        files=(*(before.files[place] for place in kept), *(each.file for each in written)),
        units={unit: held._replace(files=tuple(files[unit])) for unit, held in states.items()},
        schema=schema,
    )


def bring_into_force(output: str, task: str, after: Manifest, split: Splitter) -> bool:
    """Put the manifest of a set; where that cannot be, the new files go again. False where somebody else was first.

    A fault of the storage leaves the files: the manifest may be in force all the same.

    Raises:
        StorageFault, UserError, ValueError: as `manifest.put`.
    """
    try:
        won = manifest.put(output, task, after)
    except ValueError:
        split.discard()
        raise
    if not won:
        split.discard()
    return won
