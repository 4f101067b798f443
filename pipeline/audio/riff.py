"""Where the samples of a WAV lie, whether its header counts all of them, and a header for those that it leaves open."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from pipeline.audio import joined

OPEN = 0xFFFFFFFF
"""A length of 32 bits that says nothing: the true one is in `ds64`, or was unknown when the header was written."""
_MOST_CHUNKS = 100
"""Before the samples, of which each is stepped over."""
_LONGEST_FMT = 4096
"""Bytes; that of MS ADPCM takes 50, of MP3 30."""
_RF64_TAGS = (0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE)
"""WAVE format tags that libsndfile reads in RF64: PCM, float, A-law, mu-law, and those by their GUID."""
_SURPLUS_SECONDS = 0.25
"""Of samples behind the data chunk that are worth a word."""
_LOOKED_AT = 1 << 16
"""Bytes behind the data chunk that are padding where all of them are the same, and text where all are printable."""
_TEXT = bytes([*b"\t\n\r", *range(0x20, 0x7F)])
_COMMON = (
    *(b"LIST", b"list", b"id3 ", b"ID3 ", b"id3\0", b"ID3\0", b"bext", b"iXML", b"axml", b"chna", b"cart", b"_PMX"),
    *(b"JUNK", b"junk", b"FLLR", b"PAD ", b"fact", b"PEAK", b"cue ", b"plst", b"smpl", b"inst", b"acid", b"strc"),
    *(b"labl", b"note", b"ltxt", b"DISP", b"afsp", b"levl", b"umid", b"minf", b"elm1", b"regn", b"MD5 ", b"ResU"),
)
"""Names of chunks that programs write, some of them with a length that is wrong."""

Peek = Callable[[int, int], bytes]
"""Bytes of a file from a place on, as many as asked for or up to the end."""


class Wave(NamedTuple):
    """What the chunks of a WAV say up to its samples."""

    order: str
    """Of bytes, for `struct`."""
    fmt: bytes
    """Content of the chunk of this name, 16 bytes or more."""
    start: int
    """Byte at which the samples begin."""
    declared: int
    """Their bytes; 0 and `OPEN` may mean that nobody filled it in."""

    @classmethod
    def read(cls, peek: Peek) -> Wave | None:
        """The chunks of a file; None where it is no WAV or its samples are not found."""
        head = peek(0, 12)
        if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:] != b"WAVE":
            return None
        order, fmt, long = ">" if head[:4] == b"RIFX" else "<", b"", OPEN
        position = len(head)
        for _ in range(_MOST_CHUNKS):
            chunk = peek(position, 8)
            if len(chunk) < 8:
                return None
            name, length = struct.unpack(order + "4sI", chunk)
            start = position + 8
            if name == b"ds64":
                long = int.from_bytes(peek(start + 8, 8), "little")
            elif name == b"fmt ":
                fmt = peek(start, min(length, _LONGEST_FMT))
            elif name == b"data":
                return cls(order, fmt, start, long if length == OPEN else length) if len(fmt) >= 16 else None
            position = start + length + (length & 1)
        return None

    @property
    def tag(self) -> int:
        """Number of the format."""
        return int(struct.unpack_from(self.order + "H", self.fmt)[0])

    @property
    def byte_rate(self) -> int:
        """Bytes of a second."""
        return int(struct.unpack_from(self.order + "I", self.fmt, 8)[0])

    @property
    def block(self) -> int:
        """Bytes of a sample of all channels, or of a block of them."""
        return int(struct.unpack_from(self.order + "H", self.fmt, 12)[0])


def closing_head(wave: Wave, peek: Peek, size: int) -> bytes | None:
    """Make a header that counts all samples, to stand before them; None where libsndfile finds them all without.

    It takes a length of 0 for no samples, and one of 32 bits at its word in a file that is longer.

    Args:
        wave: what the header says.
        peek: reads of the file.
        size: its bytes.
    """
    held = size - wave.start
    if held <= 0:
        return None
    if wave.declared == 0:
        if not _may_be_audio(wave, peek, wave.start, size):
            return None
    elif wave.declared != OPEN or held < OPEN:
        return None
    # Room for the header itself and a byte of padding.
    return _short_head(wave, held) if held < OPEN - 2 * _LONGEST_FMT else _long_head(wave, held)


def has_surplus(wave: Wave, peek: Peek, size: int) -> bool:
    """Whether samples follow behind those that the header counts: no other chunk, and no padding.

    Args:
        wave: what the header says.
        peek: reads of the file.
        size: its bytes.
    """
    end = wave.start + wave.declared
    least = int(_SURPLUS_SECONDS * wave.byte_rate)
    if wave.declared in (0, OPEN) or size - end <= least:
        return False
    # Some programs leave out the byte that makes an odd length even.
    ends = {end, end + (wave.declared & 1)}
    return all(_may_be_audio(wave, peek, at, size, least) for at in ends) and not _is_padding(peek(end, _LOOKED_AT))


def _may_be_audio(wave: Wave, peek: Peek, start: int, size: int, least: int = 0) -> bool:
    """Whether more than `least` bytes follow here, behind tags, that are neither another chunk nor text."""
    start = joined.behind_tags(peek, start)
    if size - start <= least or _begins_chunk(peek(start, 8), wave.order, size - start):
        return False
    data = peek(start, _LOOKED_AT).rstrip(b"\0")
    return not data or bool(data.translate(None, _TEXT))


def _is_padding(data: bytes) -> bool:
    return data.count(data[:1]) == len(data)


def _begins_chunk(data: bytes, order: str, held: int) -> bool:
    """Whether a chunk begins here: a name in use, or one of four letters and a length that `held` has room for."""
    if data[:4] in _COMMON:
        return True
    if len(data) < 8 or not all(0x20 <= byte < 0x7F for byte in data[:3]) or data[3] and not 0x20 <= data[3] < 0x7F:
        return False
    return int(struct.unpack_from(order + "I", data, 4)[0]) <= held - 8


def _short_head(wave: Wave, held: int) -> bytes:
    body = b"WAVE" + _chunk(wave, b"fmt ", wave.fmt) + struct.pack(wave.order + "4sI", b"data", held)
    magic = b"RIFX" if wave.order == ">" else b"RIFF"
    return struct.pack(wave.order + "4sI", magic, len(body) + held) + body


def _long_head(wave: Wave, held: int) -> bytes | None:
    """RF64 (EBU Tech 3306), which has no big-endian twin."""
    if wave.order == ">" or wave.tag not in _RF64_TAGS or not wave.block:
        return None
    fmt = _chunk(wave, b"fmt ", wave.fmt)
    sizes = struct.pack("<QQQI", 4 + 36 + len(fmt) + 8 + held, held, held // wave.block, 0)
    data = struct.pack("<4sI", b"data", OPEN)
    return struct.pack("<4sI", b"RF64", OPEN) + b"WAVE" + _chunk(wave, b"ds64", sizes) + fmt + data


def _chunk(wave: Wave, name: bytes, content: bytes) -> bytes:
    return struct.pack(wave.order + "4sI", name, len(content)) + content + bytes(len(content) & 1)
