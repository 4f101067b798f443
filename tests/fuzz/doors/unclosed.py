"""Audio whose header counts less than the file holds, or nothing: seeds."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile as sf

TAG = b"ID3\4\0\0\0\0\1\0" + bytes(128)
"""ID3v2, which belongs before an MP3 alone."""

_RATE = 16_000
_NOISE = (np.random.default_rng(2).normal(0, 0.001, _RATE) * 2**15).astype(np.int16)
"""A second, in 16 bits."""


def waves() -> list[bytes]:
    """WAVs of a length that nobody filled in, that ends early, or that only RF64 says; in both orders."""
    return [
        TAG + _wave("<", 3200, 3200),
        _wave("<", 0, 3200),
        _wave(">", 0, 3200),
        _wave("<", 1600, 16_000),
        _wave("<", 1601, 16_000),
        _wave("<", 1600, 1600) + b"LIST" + struct.pack("<I", 9_000) + b"abcd" * 2250,
        _wave("<", 1600, 1600) + bytes(9_000),
        _wave("<", 1600, 1600) + b"words " * 2000,
        # More chunks before the samples than anybody looks through.
        b"RIFF\xff\xff\xff\x7fWAVE" + b"JUNK\0\0\0\0" * 200 + _wave("<", 1600, 1600)[12:],
        _wave("<", 1600, 0),
    ]


def flacs() -> list[bytes]:
    """FLACs that count fewer samples than their frames have, of a fixed block size and of others."""
    whole = io.BytesIO()
    # At this level a frame has 1,152 samples.
    sf.write(whole, _NOISE[:8000], _RATE, format="FLAC", subtype="PCM_16", compression_level=0.0)
    counted = bytearray(whole.getvalue())
    counted[22:26] = (1152).to_bytes(4, "big")
    headers = b"".join(
        _frame(bits, number) + bytes(20) for bits in (0xF8, 0xF9) for number in (3, 300, 70_000, 2_000_000, 2**32)
    )
    # Of a reserved rate, of a number that is none, and too short.
    strange = b"\xff\xf8\x7f" + bytes(17) + b"\xff\xf8\x7d\x08\xc1\x01" + bytes(14) + headers[:10]
    return [bytes(counted), whole.getvalue() + headers, bytes(counted[:-4000]) + headers + strange]


def _wave(order: str, declared: int, held: int) -> bytes:
    """One channel of 16 bits; so many bytes of samples, others declared."""
    fmt = struct.pack(order + "4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    samples = _NOISE.astype(order + "i2").tobytes()[:held]
    data = struct.pack(order + "4sI", b"data", declared)
    magic = b"RIFX" if order == ">" else b"RIFF"
    return struct.pack(order + "4sI", magic, declared and 36 + declared) + b"WAVE" + fmt + data + samples


def _frame(bits: int, number: int) -> bytes:
    """Header of a FLAC frame (RFC 9639, 9.1) with its checksum; the block size and the rate stand behind the number."""
    coded = chr(number).encode("utf-8", "surrogatepass") if number < 0x110000 else _long(number)
    header = bytes([0xFF, bits, 0x7D, 0x08]) + coded + struct.pack(">HH", 1151, _RATE)
    remainder = 0
    for byte in header:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder << 1 ^ (0x07 if remainder & 0x80 else 0)) & 0xFF
    return header + bytes([remainder])


def _long(number: int) -> bytes:
    """A number as UTF-8 once had it, of up to 36 bits in seven bytes."""
    length = next(length for length in (4, 5, 6, 7) if number < 1 << 5 * length + 1)
    first = (0xFF << 8 - length) & 0xFF | number >> 6 * (length - 1)
    return bytes([first, *(0x80 | number >> 6 * place & 0x3F for place in range(length - 2, -1, -1))])
