"""Pages of Ogg: changed behind the headers mostly, with checksums that are right, so that what is inside is read."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from random import Random

from tests.fuzz import mutate

_HEAD = 27
"""Bytes of a page's header before the table of its segments."""
_REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def pages(data: bytes) -> list[bytes]:
    """The pages of a file; what stands between them goes with the one before."""
    starts, at = [], data.find(b"OggS")
    while at >= 0:
        starts.append(at)
        at = data.find(b"OggS", max(_end(data, at), at + 4))
    return [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)]


def paged(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A file with one to three of its pages changed; of the first two, the headers, seldom one."""
    found = pages(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 2, 3))):
        first = 0 if dice.random() < 0.1 else min(2, len(found) - 1)
        at = dice.randrange(first, len(found))
        page = bytearray(found[at])
        body = _HEAD + (page[_HEAD - 1] if len(page) >= _HEAD else 0)
        what = dice.randrange(8)
        if what < 3:
            inside = page[body:]
            dice.choice((mutate.flip, mutate.put, mutate.number, mutate.fill))(dice, inside)
            page[body:] = inside
        elif what == 3:
            page[6:14] = (dice.choice(mutate.STRANGE) & (2**64 - 1)).to_bytes(8, "little")
        elif what == 4:
            page[5] = dice.choice((0, 1, 2, 4, 5, 7, dice.randrange(256)))
        elif what == 5 and body > _HEAD:
            page[dice.randrange(_HEAD, min(body, len(page)))] = dice.choice((0, 1, 254, 255))
        elif what == 6:
            found.insert(dice.randrange(first, len(found) + 1), bytes(page))
            continue
        elif first and len(found) > 3:
            del found[at]
            continue
        found[at] = bytes(page)
    return summed(b"".join(found))


def summed(data: bytes) -> bytes:
    """Ogg with the checksums of its pages made right."""
    found = bytearray(data)
    start = found.find(b"OggS")
    while start >= 0 and start + _HEAD <= len(found):
        stop = _end(found, start)
        found[start + 22 : start + 26] = bytes(4)
        found[start + 22 : start + 26] = _sum(bytes(found[start:stop])).to_bytes(4, "little")
        start = found.find(b"OggS", max(stop, start + 4))
    return bytes(found)


def _end(data: bytes | bytearray, start: int) -> int:
    sizes = data[start + _HEAD : start + _HEAD + data[start + 26]] if start + _HEAD <= len(data) else b""
    return min(start + _HEAD + len(sizes) + sum(sizes), len(data))


def _sum(page: bytes) -> int:
    """RFC 3533: CRC-32 of the polynomial 04c11db7, not reflected, from 0; made of the reflected one of zlib."""
    reflected = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")
