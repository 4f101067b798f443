"""How long to wait before storage is asked again: little where something broke, long where it asks for time."""

from __future__ import annotations

import random
from collections.abc import Iterator

Seconds = float

DELAYS: tuple[Seconds, ...] = (0.2, 0.8, 3.0, 8.0, 20.0)
"""Between tries of what broke, before jitter; one try more than there are delays."""
FIRST: Seconds = 0.4
"""Longest wait after the first refusal of a store that asks for time; doubled after each."""
LONGEST: Seconds = 30.0
"""No wait is longer."""
LASTING: Seconds = 600.0
"""Sum of the waits after which a store that asks for time is given up."""


def after_breaks() -> Iterator[Seconds]:
    """Waits after resets, timeouts and internal errors: about half a minute in all."""
    for delay in DELAYS:
        yield delay * random.uniform(0.5, 1.5)


def after_throttling() -> Iterator[Seconds]:
    """Waits after answers such as SlowDown: ten minutes in all.

    Each is drawn from nothing to its bound, which doubles: so clients that were refused together do not come back
    together, and those that a store can serve find each their time.
    """
    waited, bound = 0.0, FIRST
    while waited < LASTING:
        delay = random.uniform(0, bound)
        waited, bound = waited + delay, min(2 * bound, LONGEST)
        yield delay


def in_haste() -> Iterator[Seconds]:
    """One short wait, where a user waits for what a wrong endpoint gives."""
    yield DELAYS[0] * random.uniform(0.5, 1.5)
