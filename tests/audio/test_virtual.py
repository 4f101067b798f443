from __future__ import annotations

import io
import os

import pytest

from pipeline.audio.virtual import MemoryFile, VirtualFile


class Trickle(io.RawIOBase):
    """Gives three bytes at a time, and from `breaks_at` on a fault."""

    def __init__(self, data: bytes, breaks_at: int | None = None) -> None:
        super().__init__()
        self._inner, self._breaks_at = io.BytesIO(data), breaks_at

    def readinto(self, buffer: memoryview) -> int:
        if self._breaks_at is not None and self._inner.tell() >= self._breaks_at:
            raise ConnectionResetError("gone")
        return self._inner.readinto(buffer[:3])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()


def test_short_reads_are_filled_up() -> None:
    buffer = bytearray(10)
    assert VirtualFile(Trickle(b"0123456789abc")).readinto(memoryview(buffer)) == 10
    assert buffer == b"0123456789"


def test_the_end_is_a_short_read() -> None:
    buffer = bytearray(10)
    assert VirtualFile(b"0123").readinto(memoryview(buffer)) == 4
    assert buffer[:4] == b"0123"


def test_a_fault_waits_until_it_is_asked_for() -> None:
    file, buffer = VirtualFile(Trickle(b"0123456789abc", breaks_at=6)), bytearray(10)
    assert file.readinto(memoryview(buffer)) == 6
    assert file.readinto(memoryview(buffer)) == 0
    with pytest.raises(ConnectionResetError, match="gone"):
        file.check()
    file.check()


def test_a_target_before_the_start_moves_nothing() -> None:
    file = VirtualFile(b"0123456789")
    assert file.seek(4) == 4
    assert file.seek(-20, os.SEEK_CUR) == 4
    assert file.seek(-3, os.SEEK_END) == 7
    file.check()


def test_size_and_peek_leave_the_position() -> None:
    file = VirtualFile(io.BytesIO(b"0123456789"))
    file.seek(3)
    assert (file.size(), file.peek(8, 5), file.tell()) == (10, b"89", 3)


def test_bytes_are_not_copied() -> None:
    data = bytearray(b"0123")
    file, buffer = MemoryFile(memoryview(data)), bytearray(2)
    data[0] = ord("x")
    assert file.readinto(memoryview(buffer)) == 2
    assert buffer == b"x1"


@pytest.mark.parametrize("head", [b"", b"ab", b"abcdefgh"])
def test_another_start_stands_in_place_of_the_first_bytes(head: bytes) -> None:
    file, seen = VirtualFile(Trickle(b"0123456789")), head + b"456789"
    file.show_instead(4, head)
    assert (file.tell(), file.size(), file.peek(0, 100)) == (0, len(seen), seen)
    for start in range(len(seen) + 2):
        assert file.peek(start, 5) == seen[start : start + 5]
    assert file.seek(-2, os.SEEK_END) == len(seen) - 2
    assert file.seek(1, os.SEEK_CUR) == len(seen) - 1
    file.check()


def test_a_fault_behind_another_start_waits_too() -> None:
    file = VirtualFile(Trickle(b"0123456789abc", breaks_at=6))
    file.show_instead(4, b"xy")
    assert file.peek(0, 10) == b"xy456"
    with pytest.raises(ConnectionResetError, match="gone"):
        file.check()
