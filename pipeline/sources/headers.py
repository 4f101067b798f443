"""Lengths from the headers of containers that say them: RIFF, RF64, W64, AIFF, AU, CAF, FLAC, NIST Sphere.

Parsers get the first bytes of a file and its size, and give None (or raise struct.error, ValueError,
IndexError) for what they cannot read. A length is never longer than the bytes of the file can hold. `seconds`
of -1 stand for a length that the header leaves open.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.corpus import Seconds, SecondsFrom

UNKNOWN = 0xFFFFFFFF
MAX_RATE = 10_000_000
_SAMPLES_PER_BYTE = 8192
"""More than any lossless packing of silence reaches: FLAC's best is a block of 65,535 samples in 14 bytes."""
_PCM_TAGS = (0x0001, 0x0003, 0x0006, 0x0007)
"""WAVE format tags of one fixed size a sample: PCM, float, A-law, mu-law."""
_BLOCK_TAGS = (0x0002, 0x0011, 0x0031)
"""Those of blocks with a fixed number of samples: MS ADPCM, IMA ADPCM, GSM 6.10."""
_EXTENSIBLE = 0xFFFE
_AIFC_LINEAR = (b"NONE", b"raw ", b"sowt", b"twos", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64")
_AIFC_COMPANDED = (b"ulaw", b"ULAW", b"alaw", b"ALAW")
_IMA4_SAMPLES, _IMA4_BYTES = 64, 34
"""Of a packet of one channel."""
_AU_BITS = {1: 8, 2: 8, 3: 16, 4: 24, 5: 32, 6: 32, 7: 64, 23: 4, 24: 2, 25: 3, 26: 5, 27: 8}


class Measured(NamedTuple):
    """How long audio is, how that is known, and its rate in Hz (0: not seen)."""

    seconds: Seconds
    seconds_from: SecondsFrom
    sample_rate: int


def of_frames(frames: float, rate: float, *, size: int) -> Measured | None:
    """Give the length of so many frames, unless rate or count is beyond belief for so many bytes."""
    if not (1 <= rate <= MAX_RATE) or not (0 <= frames <= size * _SAMPLES_PER_BYTE):
        return None
    return Measured(frames / rate, "header", round(rate))


def open_ended(rate: float) -> Measured | None:
    """Say that only the rate is known."""
    return Measured(-1.0, "estimate", round(rate)) if 1 <= rate <= MAX_RATE else None


def riff(head: bytes, size: int) -> Measured | None:
    """WAVE in RIFF, RIFX (big endian), RF64 and BW64."""
    order = ">" if head[:4] == b"RIFX" else "<"
    long_data, fact, wave = None, None, None
    for name, start, length in _chunks(head, order):
        if name == b"ds64":
            long_data, fact = struct.unpack_from("<8xQQ", head, start)
        elif name == b"fmt ":
            wave = _Wave.read(head, start, order)
        elif name == b"fact" and fact is None:
            fact = struct.unpack_from(order + "I", head, start)[0]
        elif name == b"data" and wave:
            declared = long_data if length == UNKNOWN and long_data else length
            left = max(size - start, 0)
            return wave.measure(left if declared in (0, UNKNOWN) else min(declared, left), fact, size=size)
    if wave and wave.byte_rate:
        # The data begins behind other large chunks.
        return Measured(size / wave.byte_rate, "bitrate", wave.rate)
    return None


class _Wave(NamedTuple):
    """The fmt chunk of a WAVE file."""

    tag: int
    rate: int
    byte_rate: int
    block: int
    block_samples: int

    @classmethod
    def read(cls, head: bytes, start: int, order: str) -> _Wave:
        tag, _, rate, byte_rate, block = struct.unpack_from(order + "HHIIH", head, start)
        if tag == _EXTENSIBLE:
            (tag,) = struct.unpack_from(order + "H", head, start + 24)
        samples = struct.unpack_from(order + "H", head, start + 18)[0] if tag in _BLOCK_TAGS else 1
        return cls(tag, rate, byte_rate, block, samples)

    def measure(self, data: int, fact: int | None, *, size: int) -> Measured | None:
        if self.tag in (*_PCM_TAGS, *_BLOCK_TAGS) and self.block:
            return of_frames(data // self.block * self.block_samples, self.rate, size=size)
        if fact and fact != UNKNOWN:
            return of_frames(fact, self.rate, size=size)
        return Measured(data / self.byte_rate, "bitrate", self.rate) if self.byte_rate else open_ended(self.rate)


def wave64(head: bytes, size: int) -> Measured | None:
    """Sony Wave64: 16-byte names, 8-byte lengths that count their own head, chunks on multiples of 8."""
    wave, position = None, 40
    while position + 24 <= len(head):
        length = struct.unpack_from("<Q", head, position + 16)[0]
        name, start = head[position : position + 4], position + 24
        if name == b"fmt ":
            wave = _Wave.read(head, start, "<")
        elif name == b"data" and wave:
            return wave.measure(min(max(length - 24, 0), max(size - start, 0)), None, size=size)
        position += max(length + 7 & ~7, 24)
    return None


def aiff(head: bytes, size: int) -> Measured | None:
    """AIFF and AIFF-C: frames and an 80-bit rate in COMM; 0 frames where nobody could fill them in."""
    for name, start, _ in _chunks(head, ">"):
        if name == b"COMM":
            channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", head, start)
            rate = math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - 63)
            packing = b"NONE" if head[8:12] == b"AIFF" else head[start + 18 : start + 22]
            is_ima4 = packing == b"ima4"
            samples, width = (_IMA4_SAMPLES, _IMA4_BYTES) if is_ima4 else (1, _width(packing, bits))
            block = channels * width
            # Of `ima4` frames are packets, or half as many where libsndfile wrote two channels: its bytes tell.
            counted = UNKNOWN if is_ima4 else frames or UNKNOWN
            packets = min(counted, _sound_bytes(head, size) // block) if block else frames
            return of_frames(packets * samples, rate, size=size)
    return None


def _width(packing: bytes, bits: int) -> int:
    """Bytes of a sample in AIFF-C; 0 where not all have as many."""
    if packing in _AIFC_COMPANDED:
        return 1
    return -(-bits // 8) if packing in _AIFC_LINEAR else 0


def _sound_bytes(head: bytes, size: int) -> int:
    """Bytes of samples in the SSND chunk, to the end of the file where it does not say; all where `head` lacks it."""
    for name, start, length in _chunks(head, ">"):
        if name == b"SSND":
            left = max(size - start - 8, 0)
            return min(length - 8, left) if length > 8 else left
    return size


def au(head: bytes, size: int) -> Measured | None:
    """Sun AU, also called .snd."""
    start, length, encoding, rate, channels = struct.unpack_from(">IIIII", head, 4)
    bits = _AU_BITS[encoding] * channels if encoding in _AU_BITS else 0
    left = max(size - start, 0)
    data = left if length == UNKNOWN else min(length, left)
    return of_frames(data * 8 // bits, rate, size=size) if bits else open_ended(rate)


def caf(head: bytes, size: int) -> Measured | None:
    """Apple CAF: a packet table says how many frames there are, else packets of one size do."""
    rate, packet_bytes, packet_frames = 0.0, 0, 0
    position = 8
    while position + 12 <= len(head):
        name, length = struct.unpack_from(">4sq", head, position)
        start = position + 12
        if name == b"desc":
            rate, packet_bytes, packet_frames = struct.unpack_from(">d8xII", head, start)
        elif name == b"pakt":
            return of_frames(struct.unpack_from(">8xq", head, start)[0], rate, size=size)
        elif name == b"data" and packet_bytes:
            left = max(size - start - 4, 0)
            data = left if length < 0 else min(max(length - 4, 0), left)
            return of_frames(data // packet_bytes * packet_frames, rate, size=size)
        if length < 0:
            break
        position = start + length
    return open_ended(rate)


def flac(head: bytes, size: int) -> Measured | None:
    """FLAC: STREAMINFO is always the first block; 0 frames mean that the encoder did not know."""
    if head[4] & 0x7F != 0:
        return None
    packed = int.from_bytes(head[18:26], "big")
    rate, frames = packed >> 44, packed & (2**36 - 1)
    return of_frames(frames, rate, size=size) if frames else open_ended(rate)


def sphere(head: bytes, size: int) -> Measured | None:
    """NIST Sphere: a text header with sample_count and sample_rate."""
    lines = (line.split(b" ", 2) for line in head[:1024].split(b"\n"))
    fields = {line[0]: line[2] for line in lines if len(line) == 3}
    rate = int(fields.get(b"sample_rate", b"0"))
    if b"sample_count" not in fields:
        return open_ended(rate)
    return of_frames(int(fields[b"sample_count"]), rate, size=size)


def _chunks(head: bytes, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start of the content and declared length of the chunks of an IFF-like file."""
    position = 12
    while position + 8 <= len(head):
        name, length = struct.unpack_from(order + "4sI", head, position)
        yield name, position + 8, length
        position += 8 + length + (length & 1)
