"""Whether a FLAC (RFC 9639) holds more frames than its header counts samples for, or another stream behind them."""

from __future__ import annotations

import re

TAIL = 1 << 17
"""Bytes at the end of a file in which its last frames lie: two take 50 KB at 24 bits and two channels."""
STREAMINFO = 26
"""Bytes up to the one that ends the number of samples."""
NEAR = 1 << 17
"""Bytes on either side of the place up to which a decoder has read at the end of a stream, some KB behind that."""

_START = b"fLaC\0\0\0\x22"
"""The mark of a stream, and the head of the block that is always its first."""

_ENOUGH_FRAMES = 2
"""Headers with a checksum that is right: not by chance."""
_MOST_LOOKED_AT = 2000
"""Places, the last ones, where a frame may begin: noise has 4 of them in `TAIL`, and silence 9,000."""
_LONGEST_HEADER = 16
_BYTES_OF_SIZE, _BYTES_OF_RATE = {6: 1, 7: 2}, {12: 1, 13: 2, 14: 2}
"""Behind the place, where these numbers stand for a block size and a rate that are written out."""
_UNEVEN = 0x01
"""Flag of a frame that tells its first sample, not its number."""


def has_start(data: bytes) -> bool:
    """Whether a stream begins in `data`."""
    return _START in data


def has_surplus(streaminfo: bytes, tail: bytes, num_samples: int) -> bool:
    """Whether frames at the end of a file begin at `num_samples` or later.

    Args:
        streaminfo: its first `STREAMINFO` bytes.
        tail: its last `TAIL` bytes.
        num_samples: per channel, that have been decoded.
    """
    if streaminfo[:4] != b"fLaC" or len(streaminfo) < STREAMINFO:
        return False
    smallest, largest = int.from_bytes(streaminfo[8:10], "big"), int.from_bytes(streaminfo[10:12], "big")
    # Numbers of frames tell their first samples where all are as long.
    block_size = largest if smallest == largest else 0
    places = [match.start() for match in re.finditer(rb"\xff[\xf8\xf9]", tail)]
    found = set()
    for place in places[: -_MOST_LOOKED_AT - 1 : -1]:
        first = _first_sample(tail[place : place + _LONGEST_HEADER], block_size, num_samples)
        if first is not None:
            found.add(first)
            if len(found) == _ENOUGH_FRAMES:
                return True
    return False


def _first_sample(header: bytes, block_size: int, least: int) -> int | None:
    """Sample at which the frame with this header begins; None where it is none, or begins before `least`."""
    if len(header) < _LONGEST_HEADER or not _is_possible(header):
        return None
    # As in UTF-8: the ones before the first zero count the bytes.
    length = 8 - (header[4] ^ 0xFF).bit_length()
    coded = header[4 : 4 + max(1, length)]
    if length in (1, 8) or any(byte >> 6 != 2 for byte in coded[1:]):
        return None
    number = coded[0] & (0x7F >> length)
    for byte in coded[1:]:
        number = number << 6 | byte & 0x3F
    first = number if header[1] & _UNEVEN else number * block_size
    if first < least or not (header[1] & _UNEVEN or block_size):
        return None
    end = 4 + len(coded) + _BYTES_OF_SIZE.get(header[2] >> 4, 0) + _BYTES_OF_RATE.get(header[2] & 15, 0)
    return first if _crc8(header[:end]) == header[end] else None


def _is_possible(header: bytes) -> bool:
    """Whether block size, rate and channels are no reserved values."""
    return header[2] >> 4 > 0 and header[2] & 15 < 15 and header[3] >> 4 < 11 and not header[3] & 1


def _crc8(data: bytes) -> int:
    """Checksum of a header, with the polynomial x^8 + x^2 + x + 1."""
    remainder = 0
    for byte in data:
        remainder = _CRC8[remainder ^ byte]
    return remainder


def _divided(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1 ^ (0x07 if byte & 0x80 else 0)) & 0xFF
    return byte


_CRC8 = bytes(map(_divided, range(256)))
