"""Remove what killed processes left behind: hidden temporary files and probes, never a committed file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.corpus import Seconds
from pipeline.plan import layout as plan_layout
from pipeline.storage.listing import list_names
from pipeline.storage.paths import filesystem, join
from pipeline.storage.put import delete
from pipeline.storage.retry import attempt
from pipeline.table import layout
from pipeline.table.presence import require_table
from pipeline.table.task import tasks

MIN_AGE: Seconds = 24 * 3600.0
"""Younger files may belong to a commit that is going on."""

_LEFT_OVER = re.compile(r"\..+\.[0-9a-f]{32}\.tmp|_probe-[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class LeftOver:
    """One file that nothing refers to."""

    uri: str
    age: Seconds


def left_overs(output: str, *, min_age: Seconds = MIN_AGE) -> Iterator[LeftOver]:
    """Left-over files of an output that are old enough to be nobody's.

    Raises:
        StorageFault, UserError: a folder cannot be listed.
    """
    folders = [output, plan_layout.plan_folder(output), layout.runs_folder(output)]
    for folder in (*folders, join(output, layout.ATTEMPTS_FOLDER), *(join(output, name) for name in tasks(output))):
        for name in list_names(folder):
            if _LEFT_OVER.fullmatch(name):
                uri = join(folder, name)
                age = _age(uri)
                if age is not None and age >= min_age:
                    yield LeftOver(uri, age)


def vacuum(output: str, *, min_age: Seconds = MIN_AGE, dry_run: bool = True) -> list[LeftOver]:
    """Remove left-over files, or only say which there are.

    Returns:
        What was, or would be, removed.

    Raises:
        UserError: there is no table.
        StorageFault: a folder cannot be listed, or a file not removed.
    """
    require_table(output)
    found = list(left_overs(output, min_age=min_age))
    if not dry_run:
        for each in found:
            delete(each.uri)
    return found


def _age(uri: str) -> Seconds | None:
    """Age of a file by the clock of this machine; None where it has just gone."""
    fs, path = filesystem(uri)
    try:
        modified: datetime = attempt(uri, "looking", lambda: fs.modified(path))
    except FileNotFoundError:
        return None
    if modified.tzinfo is None:
        modified = modified.replace(tzinfo=UTC)
    return (datetime.now(UTC) - modified).total_seconds()
