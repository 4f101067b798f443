"""Recordings that are to be forgotten: digests of their ids, in numbered files of which the last one has all.

A digest is remembered for as long as the table lives, so that nothing plans, reads or shows the recording again. Who
writes something that may hold such a recording writes first and looks here afterwards; who forgets writes here first
and looks afterwards. So one of both sees the other: files are looked for by their names, which tell what a listing, on
some stores, does not tell yet.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from pipeline import documents
from pipeline.corpus import Recording
from pipeline.errors import UserError
from pipeline.plan import generations, layout
from pipeline.plan.columns import OldRow
from pipeline.plan.generations import Generation
from pipeline.plan.spans import whole_id
from pipeline.storage.listing import list_names
from pipeline.storage.paths import redact
from pipeline.storage.put import put_if_absent
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import denied

VERSION = 1
"""Of the files; raised when older releases could not read them."""
COLUMNS = ("id", "recording", "spans")
"""What is asked of a row, in the plan and in the files of units."""

_DIGEST = re.compile("[0-9a-f]{32}")
_last: dict[str, int] = {}
"""Number of the last file that this process saw of an output: where the search for the next one begins."""


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
    """Everything that is to be forgotten; two small reads, one where nothing ever was, and at first a listing.

    Raises:
        UserError: a file is damaged or closed: without it nobody knows what must not be shown.
        StorageFault: it cannot be read.
    """
    return _newest(output)[1]


def remember(output: str, ids: Collection[str]) -> None:
    """Write down that recordings are to be forgotten, besides all that are.

    Raises:
        StorageFault, UserError: it could not be written.
    """
    while True:
        number, gone = _newest(output)
        every = gone.digests | Forgotten.of(ids).digests
        data = json.dumps({"version": VERSION, "digests": sorted(every)}).encode()
        if every == gone.digests or put_if_absent(layout.forgotten_file(output, number + 1), data):
            return


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


@functools.lru_cache(maxsize=generations.KEPT)
def _rows(generation: Generation, gone: Forgotten) -> tuple[OldRow, ...]:
    return tuple(_found(generation, gone))


def _found(generation: Generation, gone: Forgotten) -> Iterator[OldRow]:
    for table in generation.row_groups((*COLUMNS, "unit")):
        pairs = zip(table.column("unit").to_pylist(), table.column("id").to_pylist(), gone.mask(table), strict=True)
        yield from ((unit, id) for unit, id, is_gone in pairs if is_gone)


def _newest(output: str) -> tuple[int, Forgotten]:
    """Number and content of the last file; 0 where there is none."""
    number = _last.get(output)
    gone = _content(output, number) if number is not None else None
    if gone is None or number is None:
        # A first look, or the folder has been made anew. Of the files before the last one some may be gone.
        number = max(_listed(output), default=0)
        gone = _content(output, number) or Forgotten()
    while (newer := _read(output, number + 1)) is not None:
        number, gone = number + 1, newer
    _last[output] = number
    return number, gone


def _listed(output: str) -> list[int]:
    names = list_names(layout.forgotten_folder(output))
    return [number for name in names if (number := layout.forgotten_of(name)) is not None]


def _content(output: str, number: int) -> Forgotten | None:
    """Content of a file; before the first one nothing is forgotten."""
    return _read(output, number) if number else Forgotten()


def _read(output: str, number: int) -> Forgotten | None:
    uri = layout.forgotten_file(output, number)
    try:
        known = documents.parse(read_bytes(uri))
        version, digests = known["version"], known["digests"]
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{redact(uri)}: does not say what is forgotten. Restore it from a backup.") from error
    if version != VERSION:
        raise UserError(f"{redact(uri)}: was written by another release ({version!r}); this one reads {VERSION}.")
    if not isinstance(digests, list) or not all(isinstance(each, str) and _DIGEST.fullmatch(each) for each in digests):
        raise UserError(f"{redact(uri)}: does not say what is forgotten. Restore it from a backup.")
    return Forgotten(frozenset(digests))
