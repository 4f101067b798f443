"""The file that libsndfile reads through: it never loses a fault of the storage below.

libsndfile calls back into Python, and an exception in a callback is printed and taken for "end of file":
a broken connection would look like a truncated recording. So faults are kept here, and raised afterwards.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Protocol, TypeAlias


class SeekableFile(Protocol):
    """An open binary file: what `io.RawIOBase` and `io.BufferedReader` offer."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill a part of `buffer`; 0 at the end."""
        ...

    def seek(self, offset: int, whence: int = ..., /) -> int:
        """Move; the new position."""
        ...

    def tell(self) -> int:
        """The position in bytes."""
        ...


Audio: TypeAlias = bytes | bytearray | memoryview | SeekableFile
"""Encoded audio: in memory, or a file that is read by seeking."""


class MemoryFile:
    """A file over bytes that copies nothing, as `io.BytesIO` would of a `memoryview`."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        self._position = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` as far as the bytes reach."""
        piece = self._data[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; the new position."""
        self._position = offset + (0, self._position, len(self._data))[whence]
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position


class _OtherStart:
    """A file that begins with `head` in place of its first bytes.

    Args:
        file: the bytes behind.
        skipped: of its bytes, that are not seen.
        head: what is seen before the others; the only bytes that are held.
    """

    def __init__(self, file: SeekableFile, skipped: int, head: bytes) -> None:
        self._file = file
        self._head = MemoryFile(head)
        self._length = len(head)
        self._shift = skipped - len(head)
        self._position = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a part of `buffer`; 0 at the end."""
        if self._position < self._length:
            self._head.seek(self._position)
            num_bytes = self._head.readinto(buffer)
        else:
            self._file.seek(self._position + self._shift)
            num_bytes = self._file.readinto(buffer) or 0
        self._position += num_bytes
        return num_bytes

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move; the new position."""
        size = self._file.seek(0, os.SEEK_END) - self._shift if whence == os.SEEK_END else 0
        self._position = offset + (0, self._position, size)[whence]
        return self._position

    def tell(self) -> int:
        """The position in bytes."""
        return self._position


class VirtualFile:
    """What libsndfile is given instead of `audio`: reads fill the buffer, faults wait for `check`."""

    def __init__(self, audio: Audio) -> None:
        self._file: SeekableFile
        self._file = MemoryFile(audio) if isinstance(audio, bytes | bytearray | memoryview) else audio
        self._fault: BaseException | None = None

    def __enter__(self) -> None:
        """Start keeping faults."""

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep the first fault instead of raising it into C code."""
        self._fault = self._fault or fault
        return True

    def show_instead(self, skipped: int, head: bytes) -> None:
        """From here on let `head` stand in place of the first `skipped` bytes; the position is 0."""
        self._file = _OtherStart(self._file, skipped, head)

    def check(self) -> None:
        """Raise the fault that a callback met, if any."""
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` wholly unless the file ends: libsndfile takes a short read for the end."""
        view, filled = memoryview(buffer).cast("B"), 0
        with self:
            while self._fault is None and filled < len(view):
                num_bytes = self._file.readinto(view[filled:])
                if not num_bytes:
                    break
                filled += num_bytes
        return filled

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; a target before the start, which MP3 decoders try on damaged files, moves nothing."""
        with self:
            base = (0, self.tell(), self.size() if whence == os.SEEK_END else 0)[whence]
            if base + offset >= 0:
                self._file.seek(base + offset)
        return self.tell()

    def tell(self) -> int:
        """The position in bytes."""
        with self:
            return self._file.tell()
        return 0

    def size(self) -> int:
        """Length of the file in bytes; the position stays."""
        with self:
            position = self._file.tell()
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(position)
            return size
        return 0

    def peek(self, start: int, num_bytes: int) -> bytes:
        """Bytes from `start` on, fewer at the end; the position stays."""
        position, buffer = self.tell(), bytearray(num_bytes)
        self.seek(start)
        filled = self.readinto(memoryview(buffer))
        self.seek(position)
        return bytes(buffer[:filled])
