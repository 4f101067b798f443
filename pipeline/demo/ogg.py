"""Ogg streams that are the same bytes at every making."""

from __future__ import annotations

import struct

SERIAL, CHECKSUM, SEGMENTS = 14, 22, 26
"""Where a page's serial number (4 bytes), checksum (4 bytes) and count of segments (1) stand; RFC 3533."""


def steady(stream: bytes) -> bytes:
    """The same Ogg stream with serial number 0, where libsndfile draws one at random."""
    out, page = bytearray(stream), 0
    while page < len(out):
        table = page + SEGMENTS + 1
        body = table + out[page + SEGMENTS]
        end = body + sum(out[table:body])
        out[page + SERIAL : page + SERIAL + 4] = bytes(4)
        out[page + CHECKSUM : page + CHECKSUM + 4] = bytes(4)
        out[page + CHECKSUM : page + CHECKSUM + 4] = struct.pack("<I", checksum(out[page:end]))
        page = end
    return bytes(out)


def checksum(page: bytes | bytearray) -> int:
    """CRC-32 of an Ogg page (RFC 3533): polynomial 0x04c11db7, from 0, bits not reflected."""
    value = 0
    for byte in page:
        value = (value << 8 & 0xFFFFFFFF) ^ _CHECKSUMS[value >> 24 ^ byte]
    return value


def _checksum_of(byte: int) -> int:
    value = byte << 24
    for _ in range(8):
        value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
    return value & 0xFFFFFFFF


_CHECKSUMS = [_checksum_of(byte) for byte in range(256)]
