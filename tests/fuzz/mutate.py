"""What is done to bytes: cut, flipped, spliced, numbers in them made strange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

Mutate = Callable[[Random, Sequence[bytes]], bytes]
"""Makes an input from seeds."""

STRANGE = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
           2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
"""Numbers at the edges of what fields hold."""


def bent(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds with one to four things done to it."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 2, 4))):
        dice.choice(_ALL)(dice, data, seeds)
    return bytes(data)


def place(dice: Random, data: bytes | bytearray) -> int:
    """A place in some bytes; half of them near the start, where headers are."""
    if not data:
        return 0
    most = min(len(data), dice.choice((64, 256, len(data), len(data))))
    return dice.randrange(most)


def flip(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Turn single bits over."""
    for _ in range(dice.choice((1, 1, 2, 8)) if data else 0):
        data[place(dice, data)] ^= 1 << dice.randrange(8)


def put(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Write other bytes over some."""
    start = place(dice, data)
    length = min(dice.choice((1, 2, 4, 16)), len(data) - start)
    data[start : start + length] = dice.randbytes(length)


def number(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Write a strange number, of any width, in either order."""
    width = dice.choice((1, 2, 4, 4, 8))
    if len(data) < width:
        return
    start = min(place(dice, data), len(data) - width)
    value = dice.choice(STRANGE) if dice.random() < 0.7 else dice.getrandbits(8 * width)
    order = dice.choice(("big", "little"))
    data[start : start + width] = (value & (1 << 8 * width) - 1).to_bytes(width, order)


def step(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Make a byte a little more or less."""
    if data:
        start = place(dice, data)
        data[start] = (data[start] + dice.choice((-16, -2, -1, 1, 2, 16))) & 0xFF


def cut(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """End early."""
    del data[dice.randrange(len(data) + 1) if dice.random() < 0.5 else place(dice, data) :]


def drop(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Leave a piece out."""
    start = place(dice, data)
    del data[start : start + dice.choice((1, 2, 4, 16, 128))]


def repeat(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Have a piece twice."""
    start, length = place(dice, data), dice.choice((1, 4, 16, 128, 1024))
    data[start:start] = data[start : start + length]


def splice(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Put a piece of another input over, or in."""
    if not seeds:
        return
    other = dice.choice(seeds)
    start, length = place(dice, other), dice.choice((4, 16, 64, 512, len(other)))
    there = place(dice, data)
    data[there : there + dice.choice((0, length))] = other[start : start + length]


def fill(dice: Random, data: bytearray, seeds: Sequence[bytes] = ()) -> None:
    """Make a stretch one byte over and over."""
    start, length = place(dice, data), dice.choice((2, 8, 64))
    length = min(length, len(data) - start)
    data[start : start + length] = bytes([dice.choice((0, 0xFF, 0x20, 0x30))]) * length


_ALL: tuple[Callable[[Random, bytearray, Sequence[bytes]], None], ...] = (
    flip, flip, put, number, number, step, cut, drop, repeat, splice, fill,
)  # fmt: skip
