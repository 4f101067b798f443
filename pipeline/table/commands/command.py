"""What a command of `python -m pipeline.table` is, and the codes that it ends with."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.quantities import parse_seconds, parse_whole

HOLDS, BROKEN, USAGE, PARTIAL = 0, 1, 2, 4


@dataclass(frozen=True, slots=True)
class Command:
    """One command; `OUTPUT` is an argument of all of them."""

    name: str
    words: str
    """What it does or tells, in one line."""
    run: Callable[[argparse.Namespace], int]
    """Does it and returns the exit code."""
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    """Adds what it takes besides `OUTPUT`."""
    examples: tuple[str, ...] = ("out/",)
    """What may follow its name."""


def whole(text: str) -> int:
    """Whole number from 0 up in an option, as argparse wants it read."""
    try:
        return parse_whole(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def age(text: str) -> float:
    """Seconds in an option such as `2h`, as argparse wants them read."""
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
