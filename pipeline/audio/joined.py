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
_MP3_TAIL = 1 << 16
"""Bytes at the end of a file in which its last frames lie, if it ends with audio and tags of the usual size."""
_ENOUGH_FRAMES = 10
"""Headers in a row, a quarter of a second, that no chance makes, nor the padding that is cut off at the end."""
_COUNTED = 1
"""Flag of a Xing or Info tag that holds the number of frames."""
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
    return _has_frames(peek(behind_tags(peek, position), _SCANNED + _ENOUGH_FRAMES * _LONGEST_FRAME), _SCANNED)


def mp3_ends_in_frames(peek: Peek, position: int, size: int) -> bool:
    """Whether the end of a file holds frames of MP3 that a decoder has not reached.

    Args:
        peek: reads of the file.
        position: in bytes, up to which the decoder has read.
        size: of the file, in bytes.
    """
    return _has_frames(peek(max(position, size - _MP3_TAIL), _MP3_TAIL), _MP3_TAIL)


def counts_frames(peek: Peek) -> bool:
    """Whether an MP3 begins with a frame that says how many follow, in a tag that libsndfile's decoder reads.

    Args:
        peek: reads of the file.
    """
    head = peek(behind_tags(peek, 0), _SCANNED)
    return any(_counts_frames(head, match.start()) for match in re.finditer(rb"\xff[\xe2-\xff]", head))


def _counts_frames(head: bytes, at: int) -> bool:
    tag = at + 4 + _side_length(head[at : at + 4])
    has_tag = bool(_frame_length(head[at : at + 3])) and head[tag : tag + 4] in (b"Xing", b"Info")
    return has_tag and bool(int.from_bytes(head[tag + 4 : tag + 8], "big") & _COUNTED)


def _opening_serials(head: bytes) -> set[bytes]:
    """Serial numbers of the pages with which streams begin, at the very start of a file."""
    serials, at = set(), 0
    while head[at : at + 4] == b"OggS" and len(head) >= at + 27 and head[at + 5] & _FIRST_PAGE:
        serials.add(head[at + 14 : at + 18])
        sizes = head[at + 27 : at + 27 + head[at + 26]]
        at += 27 + len(sizes) + sum(sizes)
    return serials


def behind_tags(peek: Peek, start: int) -> int:
    """Byte behind the tags that begin at `start`, which may lie behind the end of the file.

    Args:
        peek: reads of the file.
        start: in bytes.
    """
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


def _has_frames(data: bytes, within: int) -> bool:
    """Whether enough frames of layer III follow each other, the first of them within so many bytes."""
    found = re.finditer(rb"\xff[\xe2-\xff]", data[:within])
    return any(_follow_each_other(data, match.start()) for match in found)


def _follow_each_other(data: bytes, at: int) -> bool:
    for _ in range(_ENOUGH_FRAMES):
        length = _frame_length(data[at : at + 3])
        if not length:
            return False
        at += length
    return True


def _side_length(header: bytes) -> int:
    """Bytes between the header of a frame of layer III and what it encodes (ISO/IEC 11172-3, 13818-3)."""
    is_first, is_mono = header[1] >> 3 & 3 == 3, header[3:4] >= b"\xc0"
    return (17 if is_mono else 32) if is_first else (9 if is_mono else 17)


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
