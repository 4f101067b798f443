"""Digests of the bytes of files: of one on a disk, and of one that is read anyway, without reading it twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.storage.fetch import read_range
from pipeline.storage.rangefile import MEGABYTE, RangeFile

DIGEST_BYTES = 16
_SKIPPED = 4096
"""Bytes that a reader may pass over, as the mark that a Parquet file begins with, and that are read by themselves."""


def file_digest(path: Path) -> str:
    """Hex digest of the bytes of a local file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new).hexdigest()


class HashedFile(RangeFile):
    """A whole object as a seekable file that digests what is read from it in order; raises as `RangeFile`."""

    def __init__(self, uri: str, size: int) -> None:
        super().__init__(uri, 0, size)
        self._whole = size
        self._told = uri
        self._hash = _new()
        self._hashed = 0

    def readinto(self, buffer: object) -> int:
        """Fill as much of `buffer` as one block holds; 0 at the end."""
        start = self.tell()
        got = super().readinto(buffer)
        if 0 < start - self._hashed <= _SKIPPED:
            self._take(self._hashed, memoryview(read_range(self._told, self._hashed, start - self._hashed)))
        self._take(start, memoryview(buffer).cast("B")[:got])  # type: ignore[arg-type]
        return got

    def digest(self) -> str:
        """Hex digest of all bytes; what has not been read in order is read now."""
        piece = bytearray(MEGABYTE)
        self.seek(self._hashed)
        while self._hashed < self._whole and self.readinto(piece):
            pass
        return self._hash.hexdigest()

    def _take(self, start: int, data: memoryview) -> None:
        if start <= self._hashed < start + len(data):
            self._hash.update(data[self._hashed - start :])
            self._hashed = start + len(data)


def _new() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=DIGEST_BYTES)
