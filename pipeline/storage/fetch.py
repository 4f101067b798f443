"""One read of one object: whole or a range, its length checked, transient errors retried."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import sync

from pipeline.storage import listing
from pipeline.storage.paths import filesystem, is_local, is_s3, local_path, redact
from pipeline.storage.retry import answer_of, attempt


class TooLarge(ValueError):
    """An object has more bytes than what should be there ever has."""


def read_bytes(uri: str, *, most: int | None = None) -> bytes:
    """Read a whole object.

    Args:
        uri: which.
        most: bytes that it may have; of a larger one no more are held.

    Raises:
        TooLarge: it has more.
        FileNotFoundError, PermissionError, IsADirectoryError: as they come.
        StorageFault: it could not be read for longer than the retries.
    """
    if is_local(uri):
        path = local_path(uri)
        return attempt(uri, "reading", lambda: _read_file(path, most=most))
    fs, path = filesystem(uri)
    read = _read_object if is_s3(fs) else _read_other
    return attempt(uri, "reading", lambda: read(fs, path, most))


def read_range(uri: str, start: int, length: int) -> bytes:
    """Read exactly `length` bytes from byte `start` on.

    Raises:
        EOFError: the object ends before `start + length`.
        FileNotFoundError, PermissionError: as they come.
        StorageFault: it could not be read for longer than the retries.
    """
    if length <= 0:
        return b""
    return attempt(uri, "reading", lambda: _whole(uri, start, length))


def _check_size(size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise TooLarge(f"{size:,} bytes, of which at most {most:,} are read")


def _read_other(fs: AbstractFileSystem, path: str, most: int | None) -> bytes:
    # Not as a range up to that size: stores refuse one of an empty object, each in its own words.
    if most is not None:
        _check_size(int(fs.info(path).get("size") or 0), most)
    return bytes(fs.cat_file(path))


def _read_object(fs: AbstractFileSystem, path: str, most: int | None) -> bytes:
    """Read an object as a range: the answer to one tells the size of the whole, whatever comes of it."""
    bucket, key, _ = fs.split_path(path)
    try:
        answer = fs.call_s3("get_object", Bucket=bucket, Key=key, Range=f"bytes=0-{'' if most is None else most}")
    except OSError as error:
        if _beyond_the_end(error):
            return b""
        raise
    data: bytes = sync(fs.loop, _body, answer["Body"])
    told = answer.get("ContentRange", "").rpartition("/")[2]
    size = int(told) if told.isdecimal() else len(data)
    _check_size(size, most)
    if len(data) != size:
        raise ConnectionError(f"{len(data)} of {size} bytes came")
    return data


async def _body(body: Any) -> bytes:
    try:
        return bytes(await body.read())
    finally:
        body.close()


def _beyond_the_end(error: OSError) -> bool:
    code, status = answer_of(error)
    return code == "InvalidRange" or status == 416


def _whole(uri: str, start: int, length: int) -> bytes:
    data = _read_part(uri, start, length)
    if len(data) == length:
        return data
    size = listing.stat(uri).size
    if size < start + length:
        raise EOFError(f"{redact(uri)} ends at byte {size}, {start + length - size} bytes too early")
    raise ConnectionError(f"{len(data)} of {length} bytes came")


def _read_part(uri: str, start: int, length: int) -> bytes:
    if is_local(uri):
        return _read_file(local_path(uri), start, length)
    fs, path = filesystem(uri)
    try:
        return bytes(fs.cat_file(path, start=start, end=start + length))
    except OSError as error:
        if _beyond_the_end(error):
            return b""
        raise


def _read_file(path: str, start: int = 0, length: int | None = None, *, most: int | None = None) -> bytes:
    with open(path, "rb", buffering=0) as file:
        _check_size(os.fstat(file.fileno()).st_size, most)
        want = os.fstat(file.fileno()).st_size - start if length is None else length
        return _pread(lambda at, size: os.pread(file.fileno(), size, start + at), want)


def _pread(read: Callable[[int, int], bytes], want: int) -> bytes:
    """Read until `want` bytes or the end; one call reads at most 2 GiB."""
    data = read(0, want) if want > 0 else b""
    if len(data) == want or not data:
        return data
    parts, have = [data], len(data)
    while have < want and (data := read(have, want - have)):
        parts.append(data)
        have += len(data)
    return b"".join(parts)
