"""Remove what is of no use any more: what killed processes left, and rows that newer ones took the place of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.corpus import Seconds
from pipeline.plan.forgotten import forgotten_rows
from pipeline.plan.store import units
from pipeline.plan.superseded import Superseded, hidden, superseded
from pipeline.storage.listing import list_names
from pipeline.storage.paths import join
from pipeline.storage.uploads import Upload, abort, unfinished
from pipeline.table import drafts, layout
from pipeline.table.done import committed
from pipeline.table.drafts import LeftOver
from pipeline.table.holding import Gone
from pipeline.table.lease import EXPIRY
from pipeline.table.presence import require_plan, require_table
from pipeline.table.publish import places
from pipeline.table.publish.left_over import unnamed
from pipeline.table.rewrite import Burden, burdens, rewrite_all
from pipeline.table.task import tasks
from pipeline.threads import threads

MIN_AGE: Seconds = 24 * 3600.0
"""Younger files may belong to a commit that is going on; readers may still look for what younger rows replaced."""

_PROBE = re.compile(r"_probe-[0-9a-f]{32}")
_LOOKERS = 16
"""Files whose age is asked for at the same time."""


@dataclass(frozen=True, slots=True)
class Vacuumed:
    """What was, or would be, removed."""

    files: tuple[LeftOver, ...]
    uploads: tuple[Upload, ...]
    """To a store, of published files that are not whole."""
    rows: tuple[Burden, ...]
    """Superseded and forgotten rows, by the file that holds them."""


def left_overs(output: str, *, min_age: Seconds = MIN_AGE) -> Iterator[LeftOver]:
    """Left-over files of an output that are old enough to be nobody's.

    Raises:
        StorageFault, UserError: a folder cannot be listed.
    """
    for folder in drafts.folders(output):
        temporary = [name for name in list_names(folder) if drafts.is_draft(name) or _PROBE.fullmatch(name)]
        yield from _aged(folder, temporary, min_age=min_age)
    leases = layout.leases_folder(output)
    signs = [name for name in list_names(leases) if layout.run_of(name)]
    yield from _aged(leases, signs, min_age=max(min_age, EXPIRY))
    for uri, age in unnamed(output, min_age=min_age, age=drafts.age):
        yield LeftOver(uri, age)


def _aged(folder: str, names: Iterable[str], *, min_age: Seconds) -> Iterator[LeftOver]:
    for uri in (join(folder, name) for name in names):
        age = drafts.age(uri)
        if age is not None and age >= min_age:
            yield LeftOver(uri, age)


def old_uploads(output: str, *, min_age: Seconds = MIN_AGE) -> Iterator[Upload]:
    """Uploads that a killed `publish` left, which alone uploads in parts; others may be at work beside an output.

    Raises:
        StorageFault, UserError: they cannot be listed.
    """
    for upload in unfinished(join(output, places.PUBLISHED_FOLDER)):
        if upload.age >= min_age:
            yield upload


def old_rows(output: str, *, min_age: Seconds = MIN_AGE) -> Iterator[Burden]:
    """Files that hold rows which nobody sees: forgotten ones, and superseded ones for long enough.

    Raises:
        StorageFault, UserError: the plan or a file cannot be read.
    """
    changes, gone = superseded(output), forgotten_rows(output)
    planned = units(output) if changes or gone else []
    for task in tasks(output) if planned else ():
        settled = _settled(output, task, changes, min_age=min_age)
        yield from burdens(output, task, planned, Gone.of(hidden(changes, settled), gone))


def vacuum(output: str, *, min_age: Seconds = MIN_AGE, dry_run: bool = True) -> Vacuumed:
    """Remove left-over files and uploads and superseded rows, or only say which there are.

    Jobs may be at work meanwhile, and so may another vacuum.

    Returns:
        What was, or would be, removed.

    Raises:
        UserError: there is no table, or it is damaged.
        StorageFault: storage failed; what was removed so far is, and the same call goes on.
    """
    require_table(output)
    require_plan(output)
    found = Vacuumed(
        files=tuple(left_overs(output, min_age=min_age)),
        uploads=tuple(old_uploads(output, min_age=min_age)),
        rows=tuple(old_rows(output, min_age=min_age)),
    )
    if not dry_run:
        for each in found.files:
            places.remove(each.uri)
        for upload in found.uploads:
            abort(upload)
        rewrite_all(output, found.rows)
    return found


def _settled(output: str, task: str, changes: Iterable[Superseded], *, min_age: Seconds) -> set[str]:
    """Units with newer rows that are committed and were last written long enough ago."""
    done = committed(output, task)
    newer = sorted({each.new[0] for each in changes} & done)
    with threads(_LOOKERS, "ages") as pool:
        ages = pool.map(lambda unit: drafts.age(layout.unit_file(output, task, unit)), newer)
        return {unit for unit, age in zip(newer, ages, strict=True) if age is not None and age >= min_age}
