"""Hostile recordings through the job, on Ray: as many of each kind as the time allows."""

from __future__ import annotations

import time
from pathlib import Path

from tests.jobs.poisoned import ENDS, survive

EACH = 10
"""Of every kind in a run; its loops and hoards take it a few minutes."""
ENOUGH = 30
"""Of every kind."""


def run(seed: int, deadline: float, folder: Path) -> dict[str, int]:
    """Transcribe hostile recordings among good ones, at least once; their order is always the same.

    Raises:
        AssertionError: one did not end as its row, or a neighbour was not heard.
    """
    each = 0
    while not each or (each < ENOUGH and time.monotonic() < deadline):
        survive(folder / f"{each:03d}", EACH)
        each += EACH
    return {"recordings": each * len(ENDS), **dict.fromkeys(ENDS, each)}
