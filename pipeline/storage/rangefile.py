"""A part of an object as a seekable file, with read-ahead."""

from __future__ import annotations

import io
from types import TracebackType

from pipeline.errors import VoxmillError
from pipeline.storage.fetch import read_range

MEGABYTE = 2**20
"""Smallest read-ahead; doubled while reading goes straight on."""
_MOST = 8 * MEGABYTE


class RangeFile(io.RawIOBase):
    """Seekable view of bytes [offset, offset + size) of a URI; holds one block of 1 to 8 MB.

    A `with` block around it raises what a reading failed with, even if the reader did not: libraries in C take a
    failed reading for the end of the file.

    Raises on reading:
        EOFError: the object ends before the view does.
        FileNotFoundError, PermissionError, StorageFault: as `read.read_range`.
    """

    def __init__(self, uri: str, offset: int, size: int) -> None:
        super().__init__()
        self._uri = uri
        self._offset = offset
        self._size = size
        self._position = 0
        self._block = memoryview(b"")
        self._block_start = 0
        self._ahead = MEGABYTE // 2
        self._failure: BaseException | None = None

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, raised, trace)
        if self._failure is not None:
            raise self._failure

    def readable(self) -> bool:
        """Reading is what it is for."""
        return True

    def seekable(self) -> bool:
        """Every position can be had."""
        return True

    def tell(self) -> int:
        """Give the position, counted from the start of the view."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; positions beyond the end are allowed and read as the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"a position must not be negative, not {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill as much of `buffer` as one block holds; 0 at the end."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = min(len(target), self._size - self._position)
        if wanted <= 0:
            return 0
        inside = self._position - self._block_start
        if not 0 <= inside < len(self._block):
            self._fetch(wanted)
            inside = 0
        got = min(wanted, len(self._block) - inside)
        target[:got] = self._block[inside : inside + got]
        self._position += got
        return got

    def _fetch(self, wanted: int) -> None:
        straight_on = self._position == self._block_start + len(self._block)
        self._ahead = min(2 * self._ahead, _MOST) if straight_on else MEGABYTE
        length = min(max(wanted, self._ahead), _MOST, self._size - self._position)
        try:
            self._block = memoryview(read_range(self._uri, self._offset + self._position, length))
        except (OSError, EOFError, VoxmillError) as error:
            self._failure = error
            raise
        self._block_start = self._position
