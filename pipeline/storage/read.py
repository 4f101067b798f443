"""Reading bytes: whole objects, ranges, near ones joined, as a stream; the probe of a few before any work."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO

from pipeline.errors import UserError
from pipeline.storage import listing
from pipeline.storage.fetch import TooLarge, read_bytes, read_range
from pipeline.storage.rangefile import MEGABYTE, RangeFile
from pipeline.storage.retry import denied

__all__ = [
    "MEGABYTE",
    "RangeFile",
    "TooLarge",
    "coalesce",
    "open_stream",
    "probe_any",
    "read_bytes",
    "read_range",
]

GAP = 1 * MEGABYTE
"""Ranges nearer than this are read as one: on a store a request costs as much time as about a megabyte."""


def coalesce(ranges: Sequence[tuple[int, int]], *, piece: int, gap: int = GAP) -> list[tuple[int, int]]:
    """Join (start, length) ranges that lie within `gap` bytes of each other; sorted.

    A joined range has at most `piece` bytes, the most of a single request: what a broken connection costs.
    """
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
