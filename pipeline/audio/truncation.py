"""Does a container promise more audio than it holds?"""

from __future__ import annotations

import re

_SIZES = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""Lines of libsndfile's log about WAV, AIFF, AU and W64: bytes declared, bytes there."""
_FRAMES = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
"""The line about RF64: frames there, frames declared."""

_STREAMED = 0x7FFFF000
"""Sizes from here on are what programs write that cannot seek back to fill in the true one."""

OGG_TAIL = 2 * (27 + 255 + 255 * 255)
"""Bytes in which the last whole page of an Ogg file must start (RFC 3533: 27 + segments + 255 * segments)."""
_LAST_PAGE = 0x04


def declared_frames(num_frames: int, log: str) -> int:
    """Frames that the header promises, where libsndfile has cut the number down to what is there.

    Args:
        num_frames: what libsndfile reports.
        log: its account of reading the header (`SoundFile.extra_info`).
    """
    frames = _FRAMES.search(log)
    if frames:
        return int(frames[2])
    for declared, present in _SIZES.findall(log):
        if int(present) < int(declared) < _STREAMED:
            return max(num_frames, round(num_frames * int(declared) / max(1, int(present))))
    return num_frames


def lacks_end_mark(tail: bytes) -> bool:
    """Whether an Ogg file stops before its last page does.

    Args:
        tail: its last `OGG_TAIL` bytes.
    """
    start = tail.rfind(b"OggS")
    page = tail[max(0, start) :]
    if start < 0 or len(page) < 27:
        return True
    sizes = page[27 : 27 + page[26]]
    return not page[5] & _LAST_PAGE or len(page) < 27 + page[26] + sum(sizes)
