"""Whether the pages of a Parquet file are all there and have checksums: a flipped bit hides a checksum, or a row."""

from __future__ import annotations

import io
from typing import BinaryIO

import pyarrow as pa

_INT32, _INT64, _BINARY, _STRUCT = 5, 6, 8, 12
_BOOLS = (1, 2)
"""Types of fields in Thrift's compact protocol that headers of pages have; a bool has no bytes of its own."""
_SIZE, _CHECKSUM, _DATA, _DATA_2 = 3, 4, 5, 8
"""Fields of `PageHeader` (parquet.thrift): bytes of the page behind the header, their checksum, and the headers of the
two kinds of pages with values."""
_COUNT = 1
"""Field of both of these: how many values."""
_WIDEST = 63
"""Bits of a number before its last seven."""
_DEEPEST = 3
"""Structs in each other: the header, that of its kind of page, and its statistics."""


class SummedPages(io.RawIOBase):
    """A file of whose columns Arrow reads each piece at once, whose pages are looked at then.

    Args:
        file: read by seeking.
    """

    def __init__(self, file: BinaryIO | pa.NativeFile) -> None:
        super().__init__()
        self._file = file
        self.counts: list[int] = []
        """Values of each piece that has been read."""

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move; the new position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in bytes."""
        return self._file.tell()

    def read(self, size: int = -1, /) -> bytes:
        """Bytes of a column in a row group: whole pages, one behind the other.

        Raises:
            pa.ArrowInvalid: they are not, or a page lacks its checksum.
        """
        data: bytes = self._file.read(size)
        self.counts.append(count_values(data))
        return data


def count_values(data: bytes) -> int:
    """Values of the pages of a column in a row group: one for each of its rows, of lists one or more.

    Raises:
        pa.ArrowInvalid: they are not whole pages that all have checksums.
    """
    at = count = 0
    while at < len(data):
        try:
            fields, at = _struct(data, at)
        except IndexError as error:
            raise pa.ArrowInvalid("a page has half a header") from error
        if _CHECKSUM not in fields:
            raise pa.ArrowInvalid("a page has no checksum")
        at += max(0, fields.get(_SIZE, 0))
        count += fields.get(_DATA, 0) + fields.get(_DATA_2, 0)
    if at > len(data):
        raise pa.ArrowInvalid("a page is longer than its column")
    return count


def _struct(data: bytes, at: int, depth: int = 1) -> tuple[dict[int, int], int]:
    """The 32-bit numbers of a struct by their fields, and where it ends; of a struct in it the one of `_COUNT`."""
    numbers: dict[int, int] = {}
    field = 0
    while head := data[at]:
        step, kind = head >> 4, head & 15
        field, at = field + step, at + 1
        if kind in (_INT32, _INT64, _BINARY):
            value, at = _varint(data, at)
            if kind == _INT32:
                # Zigzag: the sign is the last bit.
                numbers[field] = value >> 1 ^ -(value & 1)
            elif kind == _BINARY:
                at += value
        elif kind == _STRUCT and depth < _DEEPEST:
            inner, at = _struct(data, at, depth + 1)
            numbers[field] = inner.get(_COUNT, 0)
        elif kind not in _BOOLS:
            step = 0
        # 0 would stand for the number of a field that is written out, which all of these are too small for.
        if not step:
            raise pa.ArrowInvalid("the header of a page makes no sense")
    return numbers, at + 1


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the last of which is below 128; and where it ends."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > _WIDEST:
            raise pa.ArrowInvalid("the header of a page makes no sense")
    return value | data[at] << shift, at + 1
