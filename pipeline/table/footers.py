"""Footers of Parquet files, read from the end alone."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage import parquet
from pipeline.storage.fetch import read_range
from pipeline.storage.listing import Entry, stat
from pipeline.storage.retry import denied
from pipeline.table.encode import FOOTER, REWRITTEN

_TAIL = 32 * 1024
"""Bytes from the end that hold the footer of most files."""


def read_footer(file: str, size: int) -> pq.FileMetaData:
    """Footer of a file of so many bytes. It is found from the end, so the end alone can be parsed.

    Raises:
        pa.ArrowException: it is no Parquet.
        FileNotFoundError, EOFError: it is not there, or shorter.
        StorageFault, PermissionError: it cannot be read.
    """
    with contextlib.suppress(pa.ArrowInvalid):
        tail = min(size, _TAIL)
        return _parsed(read_range(file, size - tail, tail))
    return _parsed(read_range(file, 0, size))


def _parsed(data: bytes) -> pq.FileMetaData:
    try:
        return pq.read_metadata(pa.BufferReader(data))
    except (OSError, UnicodeDecodeError) as error:
        # Arrow's words for a footer that makes no sense, and Python's for names of columns; nothing is read here.
        raise pa.ArrowInvalid(str(error)) from error


def footer_of(file: str, size: int) -> Mapping[bytes, bytes] | None:
    """What the footer of a file says that may be put anew meanwhile, however often; None where there is none.

    Args:
        file: its URI.
        size: bytes that a listing said; where they do not fit, the file is looked at anew.

    Raises:
        StorageFault, PermissionError: it cannot be read.
    """
    seen: Entry | None = None
    while True:
        try:
            return parquet.told(read_footer(file, size))
        except FileNotFoundError:
            return None
        except (pa.ArrowException, EOFError):
            before = seen
        try:
            seen = stat(file)
        except FileNotFoundError:
            return None
        if seen == before:
            return None
        size = seen.size


def counts(file: str, size: int) -> tuple[int, int] | None:
    """Rows and errors of a unit's file; None where its footer does not say: no run wrote it so.

    Args:
        file: its URI.
        size: bytes that a listing said.

    Raises:
        StorageFault: it cannot be read.
        UserError: it may not be read, for it is archived or another's.
    """
    return counts_in(said_of(file, size))


def said_of(file: str, size: int) -> Mapping[bytes, bytes]:
    """What the footer of a unit's file says; nothing where it is none.

    Raises:
        StorageFault: it cannot be read.
        UserError: it may not be read, for it is archived or another's.
    """
    try:
        return footer_of(file, size) or {}
    except PermissionError as error:
        raise denied(file, "reading", "s3:GetObject") from error


def counts_in(told: Mapping[bytes, bytes]) -> tuple[int, int] | None:
    """Rows and errors in what a footer says; None where it says neither. Pure."""
    try:
        return int(told[f"{FOOTER}rows".encode()]), int(told[f"{FOOTER}errors".encode()])
    except (KeyError, ValueError):
        return None


def is_rewritten(told: Mapping[bytes, bytes]) -> bool:
    """Whether a footer says that rows were taken out of its file. Pure."""
    return f"{FOOTER}{REWRITTEN}".encode() in told
