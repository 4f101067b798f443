"""What a door is to the fuzzer: real inputs, what is done to them, and what may come of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from pipeline.errors import UserError
from tests.fuzz.mutate import bent

Check = Callable[[bytes], bool]
"""Puts one input through the door: whether it came past the header; anything that must not be is raised."""


class Wrong(AssertionError):
    """What came of an input is not what must come of it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A door in one process."""

    seeds: Sequence[bytes]
    check: Check
    mutate: Callable[[Random, Sequence[bytes]], bytes] = bent


@dataclass(frozen=True, slots=True)
class Door:
    """One way for foreign bytes to come in."""

    name: str
    open: Callable[[Path], Opened]
    """Makes it ready; may keep files in the folder that it is given."""
    memory: int = 256 << 20
    """Bytes that a process may hold with one input, beyond what it holds after the seeds."""


def case(opened: Opened, name: str, seed: int, number: int) -> bytes:
    """The input of a number: the same for the same seed, whatever came before."""
    return opened.mutate(Random(f"{name} {seed} {number}"), opened.seeds)


def refused(error: UserError, *names: str) -> None:
    """Check what a user reads: one line, which names the file."""
    said = str(error)
    if "\n" in said:
        raise Wrong(f"several lines: {said!r}") from error
    if not any(name in said for name in names):
        raise Wrong(f"names no file: {said!r}") from error
