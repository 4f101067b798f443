"""Lengths of MPEG audio (MP3): frames counted by a Xing, Info or VBRI tag, else by the bit rate."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pipeline.sources.headers import Measured

# kbit/s by (MPEG-1?, layer) and index, ISO/IEC 11172-3 and 13818-3.
_KBITS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_SMALLEST_FRAME = 16
"""Bytes; a tag that counts more frames than fit is not believed."""


class Frame(NamedTuple):
    """What the four bytes before a frame say."""

    rate: int
    """Hz."""
    bits: int
    """bit/s."""
    samples: int
    length: int
    """Bytes to the next frame."""
    tag: int
    """Where a Xing tag would begin, counted from the frame's start."""


def mpeg(head: bytes, size: int) -> Measured | None:
    """MPEG-1, -2 and -2.5, layers I to III; `head` begins behind an ID3 tag."""
    start, frame = _first_frame(head)
    if frame is None:
        return None
    frames = _counted(head, start, frame)
    if frames is not None and 0 < frames <= size // _SMALLEST_FRAME:
        return Measured(frames * frame.samples / frame.rate, "header", frame.rate)
    return Measured((size - start) * 8 / frame.bits, "bitrate", frame.rate)


def id3_end(head: bytes) -> int:
    """Give the number of bytes of the ID3v2 tags that a file begins with."""
    end = 0
    while head.startswith(b"ID3", end) and len(head) >= end + 10:
        footer = 10 if head[end + 5] & 0x10 else 0
        length = 0
        for byte in head[end + 6 : end + 10]:
            length = length << 7 | byte & 0x7F
        end += 10 + length + footer
    return end


def frame_at(head: bytes, start: int) -> Frame | None:
    """Read the frame header at `start`; None where there is none."""
    if len(head) < start + 4 or head[start] != 0xFF or head[start + 1] & 0xE0 != 0xE0:
        return None
    version, layer = head[start + 1] >> 3 & 3, 4 - (head[start + 1] >> 1 & 3)
    bits_index, rate_index = head[start + 2] >> 4, head[start + 2] >> 2 & 3
    if version == 1 or layer == 4 or bits_index in (0, 15) or rate_index == 3:
        return None
    first, mono = version == 3, head[start + 3] >> 6 == 3
    rate = _RATES[version][rate_index]
    bits = 1000 * _KBITS[first, layer][bits_index]
    padding = head[start + 2] >> 1 & 1
    samples = 384 if layer == 1 else 1152 if layer == 2 or first else 576
    length = (12 * bits // rate + padding) * 4 if layer == 1 else samples // 8 * bits // rate + padding
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(rate, bits, samples, length, 4 + side)


def _first_frame(head: bytes) -> tuple[int, Frame | None]:
    """Find the first frame that another frame follows, as far as `head` shows it."""
    start = head.find(b"\xff")
    while start >= 0:
        frame = frame_at(head, start)
        if frame and (start + frame.length + 4 > len(head) or frame_at(head, start + frame.length)):
            return start, frame
        start = head.find(b"\xff", start + 1)
    return 0, None


def _counted(head: bytes, start: int, frame: Frame) -> int | None:
    xing, vbri = start + frame.tag, start + 36
    if head[xing : xing + 4] in (b"Xing", b"Info"):
        flags, frames = struct.unpack_from(">II", head, xing + 4)
        return int(frames) if flags & 1 else None
    if head[vbri : vbri + 4] == b"VBRI":
        return int(struct.unpack_from(">I", head, vbri + 14)[0])
    return None
