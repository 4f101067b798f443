"""Is there audio behind what libsndfile decodes? It ends with the first stream, or a length it guesses, without a word.

Programs that record radio begin another Ogg stream at each title, and MP3s are joined by writing one behind the other.
An MP3 of changing bit rate that does not say how long it is ends where its first frame lets libsndfile guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable

OGG_HEAD = 1 << 16
"""Bytes in which the first pages of all streams that begin together lie; those of audio take under 100 each."""
_FIRST_PAGE = 0x02

_SCANNED, _LONGEST_FRAME = 4096, 1441
_MOST_TAGS = 16
"""In a row, of which each is stepped over."""
_ENOUGH_FRAMES = 10
"""Headers in a row, a quarter of a second, that no chance makes, nor the padding that is cut off at the end."""
_RATES = (44100, 48000, 32000)
_KBPS = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
"""Of layer III by its number in a header: MPEG 2 and 2.5, MPEG 1."""

Peek = Callable[[int, int], bytes]
"""Bytes of a file from a place on, as many as asked for or up to the end."""


def is_chained(head: bytes, tail: bytes) -> bool:
    """Whether the last page of an Ogg file is of a stream that does not begin with the file.

    Args:
        head: its first `OGG_HEAD` bytes.
        tail: its last `truncation.OGG_TAIL` bytes.
    """
    serials, last = _opening_serials(head), tail.rfind(b"OggS")
    serial = tail[last + 14 : last + 18] if last >= 0 else b""
    return bool(serials) and len(serial) == 4 and serial not in serials


def mp3_goes_on(peek: Peek, position: int) -> bool:
    """Whether frames of MP3 follow where a decoder has stopped, or behind tags.

    Args:
        peek: reads of the file.
        position: in bytes, up to which the decoder has read.
    """
    return _has_frames(peek(_behind_tags(peek, position), _SCANNED + _ENOUGH_FRAMES * _LONGEST_FRAME))


def _opening_serials(head: bytes) -> set[bytes]:
    """Serial numbers of the pages with which streams begin, at the very start of a file."""
    serials, at = set(), 0
    while head[at : at + 4] == b"OggS" and len(head) >= at + 27 and head[at + 5] & _FIRST_PAGE:
        serials.add(head[at + 14 : at + 18])
        sizes = head[at + 27 : at + 27 + head[at + 26]]
        at += 27 + len(sizes) + sum(sizes)
    return serials


def _behind_tags(peek: Peek, start: int) -> int:
    for _ in range(_MOST_TAGS):
        length = _tag_length(peek(start, 32))
        if not length:
            break
        start += length
    return start


def _tag_length(data: bytes) -> int:
    """Bytes of the tag that begins here: ID3v2, ID3v1 or APEv2; 0 where none does."""
    if data.startswith(b"ID3") and len(data) >= 10:
        size = sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
        return 10 + size + (10 if data[5] & 0x10 else 0)
    if data.startswith(b"APETAGEX") and len(data) == 32:
        return 32 + int.from_bytes(data[12:16], "little")
    return 128 if data.startswith(b"TAG") else 0


def _has_frames(data: bytes) -> bool:
    """Whether enough frames of layer III follow each other, the first of them soon."""
    return any(_follow_each_other(data, match.start()) for match in re.finditer(rb"\xff[\xe2-\xff]", data[:_SCANNED]))


def _follow_each_other(data: bytes, at: int) -> bool:
    for _ in range(_ENOUGH_FRAMES):
        length = _frame_length(data[at : at + 3])
        if not length:
            return False
        at += length
    return True


def _frame_length(header: bytes) -> int:
    """Bytes of a frame of layer III with this header; 0 where it is none."""
    if len(header) < 3 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return 0
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or bitrate in (0, 15) or rate == 3:
        return 0
    is_first = version == 3
    hertz = _RATES[rate] >> (0 if is_first else 1 if version == 2 else 2)
    return (144 if is_first else 72) * 1000 * _KBPS[is_first][bitrate] // hertz + (header[2] >> 1 & 1)
