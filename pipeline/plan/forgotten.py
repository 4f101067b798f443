"""Recordings that are to be forgotten: digests of their ids, in small files that are written once.

A digest is remembered for as long as the table lives, so that nothing plans, reads or shows the recording again. Who
writes something that may hold such a recording writes first and looks here afterwards; who forgets writes here first
and looks afterwards. So one of both sees the other.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline.corpus import Recording
from pipeline.errors import UserError
from pipeline.plan import generations, layout
from pipeline.plan.columns import OldRow
from pipeline.plan.generations import Generation
from pipeline.plan.spans import whole_id
from pipeline.storage.listing import list_names
from pipeline.storage.paths import join, redact
from pipeline.storage.put import put_if_absent
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied

VERSION = 1
"""Of the files; raised when older releases could not read them."""
COLUMNS = ("id", "recording", "spans")
"""What is asked of a row, in the plan and in the files of units."""

_FILE = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Digests of ids; an id stands for its row, for the spans of its recording and for all rows of its audio."""

    digests: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Iterable[str]) -> Forgotten:
        """The digests of these ids."""
        return cls(frozenset(map(digest, ids)))

    def __bool__(self) -> bool:
        """Whether anything is forgotten."""
        return bool(self.digests)

    def covers(self, recording: Recording) -> bool:
        """Say whether a recording is one of these."""
        return bool(self.digests) and self._of_row(recording.id, recording.recording, recording.spans)

    def mask(self, rows: pa.Table) -> list[bool]:
        """Which rows of a table that has `COLUMNS` are of these."""
        if not self.digests:
            return [False] * rows.num_rows
        columns = (rows.column(name).to_pylist() for name in COLUMNS)
        return [self._of_row(*row) for row in zip(*columns, strict=True)]

    def _of_row(self, id: str, recording: str, spans: int) -> bool:
        names = {id, recording} | ({whole_id(id)} if spans > 1 else set())
        return any(digest(name) in self.digests for name in names)


def digest(id: str) -> str:
    """What stands for an id: 32 hex digits."""
    return hashlib.blake2b(id.encode(), digest_size=16).hexdigest()


def forgotten(output: str) -> Forgotten:
    """Everything that is to be forgotten; one listing, and each file once a process.

    Raises:
        UserError: a file is damaged or closed: without it nobody knows what must not be shown.
        StorageFault: it cannot be read.
    """
    folder = layout.forgotten_folder(output)
    names = [name for name in list_names(folder) if _FILE.fullmatch(name)]
    return Forgotten(frozenset().union(*(_digests(join(folder, name)) for name in names)))


def remember(output: str, ids: Collection[str]) -> None:
    """Write down that recordings are to be forgotten; the same ids make the same file.

    Raises:
        StorageFault, UserError: it could not be written.
    """
    data = json.dumps({"version": VERSION, "digests": sorted(map(digest, ids))}).encode()
    name = hashlib.blake2b(data, digest_size=16).hexdigest()
    put_if_absent(join(layout.forgotten_folder(output), f"{name}.json"), data)


def forgotten_rows(output: str, gone: Forgotten | None = None) -> list[OldRow]:
    """Rows of the plan that are to be forgotten; reads all ids where anything is, else nothing.

    Args:
        output: folder of the table.
        gone: what is; None asks.
    """
    gone = forgotten(output) if gone is None else gone
    if not gone:
        return []
    found = generations.of_each(lambda each: _rows(each, gone), generations.opened(output))
    return [row for rows in found for row in rows]


@functools.lru_cache(maxsize=64)
def _rows(generation: Generation, gone: Forgotten) -> tuple[OldRow, ...]:
    return tuple(_found(generation, gone))


def _found(generation: Generation, gone: Forgotten) -> Iterator[OldRow]:
    for table in generation.row_groups((*COLUMNS, "unit")):
        pairs = zip(table.column("unit").to_pylist(), table.column("id").to_pylist(), gone.mask(table), strict=True)
        yield from ((unit, id) for unit, id, is_gone in pairs if is_gone)


# A file is named after its content, so what was read of a name stays true.
@functools.lru_cache(maxsize=1024)
def _digests(uri: str) -> frozenset[str]:
    try:
        known = json.loads(read_bytes(uri))
        if known["version"] == VERSION:
            return frozenset(str(each) for each in known["digests"])
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except (ValueError, KeyError, TypeError, FileNotFoundError) as error:
        raise UserError(
            f"{redact(uri)}: does not say what is forgotten. Restore it, or forget the same recordings again and "
            "delete it."
        ) from error
    raise UserError(f"{redact(uri)}: was written by another release ({known['version']}); this one reads {VERSION}.")
