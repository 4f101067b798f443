"""What a run has committed, counted for the next run while this one goes on: of a run that is killed little is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline import table
from pipeline.corpus import Seconds
from pipeline.tally import Tally

UNITS = 1000
"""Of all tasks. The next run reads at most so many footers of what a run had committed that died."""
EVERY: Seconds = 120.0
"""What is counted waits no longer while receipts come."""


@dataclass(slots=True)
class Counting:
    """Puts what a tally has counted, now and then."""

    output: str
    tally: Tally
    clock: Callable[[], float] = time.monotonic
    _count: int = 0
    """Units whose counts were put."""
    _at: Seconds = field(init=False)

    def __post_init__(self) -> None:
        """Begin the time."""
        self._at = self.clock()

    def look(self) -> None:
        """Put it where enough units or time have passed; storage that refuses it changes nothing but the next run."""
        count = sum(map(len, self.tally.committed.values()))
        new = count - self._count
        if new < UNITS and (not new or self.clock() - self._at < EVERY):
            return
        for name, units in self.tally.committed.items():
            table.add_known(self.output, name, units)
        self._count, self._at = count, self.clock()
