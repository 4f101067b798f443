"""Reading bytes: whole objects, ranges, many ranges at once, as a stream; the probe before any work."""

from __future__ import annotations

import bisect
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from pipeline.errors import StorageFault, UserError
from pipeline.storage import listing
from pipeline.storage.fetch import read_bytes, read_range
from pipeline.storage.paths import redact
from pipeline.storage.rangefile import MEGABYTE, RangeFile
from pipeline.storage.retry import denied, hasty, unreachable

__all__ = [
    "MEGABYTE",
    "RangeFile",
    "coalesce",
    "open_stream",
    "probe_any",
    "probe_read",
    "read_bytes",
    "read_range",
    "read_ranges",
]

READERS = 16
"""Ranges of one object read at the same time."""
GAP = 1 * MEGABYTE
"""Ranges nearer than this are read as one: on a store a request costs as much time as about a megabyte."""
PIECE = 64 * MEGABYTE
"""Largest single request: what a broken connection costs."""


def read_ranges(uri: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Read many (start, length) ranges of one object, near ones together, several at a time.

    Returns:
        The bytes of each range, in the order of `ranges`.

    Raises:
        EOFError, FileNotFoundError, PermissionError, StorageFault: as `read_range`.
    """
    pieces = coalesce(ranges)
    with ThreadPoolExecutor(min(READERS, len(pieces)) or 1, thread_name_prefix="ranges") as pool:
        blocks = list(pool.map(lambda piece: read_range(uri, piece[0], piece[1]), pieces))
    held = {start: memoryview(block) for (start, _), block in zip(pieces, blocks, strict=True)}
    starts = sorted(held)
    return [_cut(held, starts, start, length) for start, length in ranges]


def coalesce(ranges: Sequence[tuple[int, int]], *, gap: int = GAP, piece: int = PIECE) -> list[tuple[int, int]]:
    """Join (start, length) ranges that lie within `gap` bytes of each other, up to `piece` bytes; sorted."""
    joined: list[tuple[int, int]] = []
    for start, length in sorted(ranges):
        if joined:
            first, so_far = joined[-1]
            stop = max(first + so_far, start + length)
            if start <= first + so_far + gap and (stop - first <= piece or start + length <= first + so_far):
                joined[-1] = (first, stop - first)
                continue
        joined.append((start, length))
    return joined


def open_stream(uri: str) -> BinaryIO:
    """Open an object for sequential reading from its first byte to its last.

    Raises:
        FileNotFoundError, PermissionError, StorageFault: as `listing.stat`; reading raises as `read_range`.
    """
    entry = listing.stat(uri)
    return io.BufferedReader(RangeFile(entry.uri, 0, entry.size), MEGABYTE)


def probe_read(uri: str) -> None:
    """Check before any work that a file or folder can be listed and read.

    A folder passes when one of its first three files can be read, for one unreadable file is no reason to
    stop.

    Raises:
        UserError: it is missing, access is denied, or the endpoint does not answer; with the remedy.
    """
    try:
        with hasty():
            probe_any([file.uri for file in _first_look(uri)[:3]])
    except StorageFault as fault:
        raise unreachable(fault) from fault


def _first_look(uri: str) -> list[listing.Entry]:
    try:
        return [listing.stat(uri)]
    except IsADirectoryError:
        return listing.children(uri)[1]
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: no such file or folder") from error
    except PermissionError as error:
        raise denied(uri, "looking", "s3:ListBucket and s3:GetObject") from error


def probe_any(uris: Sequence[str]) -> None:
    """Check that one of some files can be read.

    Raises:
        UserError: access is denied to all of them.
        StorageFault: storage failed for longer than the retries.
    """
    refused: UserError | None = None
    for uri in uris:
        try:
            read_range(uri, 0, 1)
        except EOFError:
            return
        except FileNotFoundError:
            continue
        except PermissionError as error:
            refused = refused or denied(uri, "reading", "s3:GetObject")
            refused.__cause__ = error
            continue
        return
    if refused:
        raise refused


def _cut(held: dict[int, memoryview], starts: list[int], start: int, length: int) -> bytes:
    first = starts[bisect.bisect_right(starts, start) - 1]
    return bytes(held[first][start - first : start - first + length])
