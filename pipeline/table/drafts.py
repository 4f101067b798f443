"""Drafts: what a process that was killed while it wrote to a local disk leaves, hidden, beside what it was to be.

A living one gives its draft another name within moments, or removes it, and takes it for a folder that went away where
somebody else has done so. No store has drafts: what is put there is there whole, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa

from pipeline.corpus import Seconds
from pipeline.plan import layout as plan_layout
from pipeline.plan.forgotten import COLUMNS, Forgotten
from pipeline.storage import parquet
from pipeline.storage.listing import list_names, modified
from pipeline.storage.paths import is_local, join, local_path
from pipeline.storage.read import read_bytes
from pipeline.table import layout
from pipeline.table.publish.left_over import folders as published_folders
from pipeline.table.task import tasks
from pipeline.table.traces import TEXTS, Names
from pipeline.threads import threads

SETTLED: Seconds = 300.0
"""After so long without a byte more, nobody is writing a draft: all that comes after the last one is a sync."""

_DRAFT = re.compile(r"\.(.+)\.[0-9a-f]{32}\.tmp")
_READERS = 8
"""Drafts read at the same time."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """One file that nothing refers to."""

    uri: str
    age: Seconds


@dataclass(frozen=True, slots=True)
class Telling:
    """A draft that holds a recording, or may."""

    uri: str
    age: Seconds
    proven: bool
    """Whether it was read; one that is not whole cannot be."""

    @property
    def settled(self) -> bool:
        """Whether it is nobody's."""
        return self.age >= SETTLED


def is_draft(name: str) -> bool:
    """Say whether a file of this name is one."""
    return _DRAFT.fullmatch(name) is not None


def folders(output: str) -> list[str]:
    """Every folder of an output in which files are written."""
    scores = layout.scores_folder(output)
    found = [output, plan_layout.plan_folder(output), plan_layout.forgotten_folder(output)]
    found += [layout.runs_folder(output), layout.totals_folder(output), layout.leases_folder(output), scores]
    found += [join(scores, name.rstrip("/")) for name in list_names(scores) if name.endswith("/")]
    found += [layout.task_folder(output, task) for task in tasks(output)]
    return found + published_folders(output)


def age(uri: str) -> Seconds | None:
    """Age of a file by the clock of this machine; None where it has just gone."""
    try:
        return (datetime.now(UTC) - modified(uri)).total_seconds()
    except FileNotFoundError:
        return None


def telling(output: str, gone: Forgotten, names: Names) -> list[Telling]:
    """Drafts that hold rows or texts of some recordings, and those of rows that cannot be read.

    Args:
        output: folder of the table.
        gone: the recordings.
        names: what a text may name them by.

    Raises:
        StorageFault, UserError: a folder cannot be listed, or a draft not be opened.
    """
    if not gone or not is_local(output):
        return []
    with threads(_READERS, "drafts") as pool:
        return [each for each in pool.map(lambda uri: _looked_at(uri, gone, names), _drafts(output)) if each]


def _drafts(output: str) -> Iterator[str]:
    for folder in folders(output):
        yield from (join(folder, name) for name in list_names(folder) if is_draft(name))


def _looked_at(uri: str, gone: Forgotten, names: Names) -> Telling | None:
    match = _DRAFT.fullmatch(uri.rpartition("/")[2])
    old, name = age(uri), match[1] if match else ""
    try:
        if name.endswith(".parquet"):
            tells = _holds(uri, gone)
        else:
            tells = name.endswith(TEXTS) and names.told_in(read_bytes(uri).decode(errors="replace"))
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        # Bytes that make no sense, other columns than these, or values of other types in them.
        return None if old is None else Telling(uri, old, proven=False)
    return Telling(uri, old, proven=True) if tells and old is not None else None


def _holds(uri: str, gone: Forgotten) -> bool:
    """Whether a draft of rows, or of a plan, holds one; raises what reading it does where it is not whole."""
    with open(local_path(uri), "rb") as file:
        return any(gone.mask(parquet.read(file, columns=COLUMNS)))
