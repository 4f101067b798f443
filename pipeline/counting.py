"""What a run has committed, counted for the next run while this one goes on: of a run that is killed little is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline import table
from pipeline.corpus import Seconds
from pipeline.overdue import beside
from pipeline.table import Count
from pipeline.tally import Tally

UNITS = 1000
"""Of all tasks. The next run reads at most so many footers of what a run had committed that died."""
EVERY: Seconds = 120.0
"""What is counted waits no longer while receipts come."""
PATIENCE: Seconds = 4.0
"""In which storage has taken what was last put."""


@dataclass(slots=True)
class Counting:
    """Puts what a tally has counted, now and then."""

    output: str
    tally: Tally
    clock: Callable[[], float] = time.monotonic
    _count: int = 0
    """Units whose counts were put."""
    _at: Seconds = field(init=False)
    _putting: threading.Thread | None = None

    def __post_init__(self) -> None:
        """Begin the time."""
        self._at = self.clock()

    def look(self) -> None:
        """Put it where enough units or time have passed; storage that refuses it changes nothing but the next run."""
        # Who looks also sees that nothing moves any more: it must not wait for storage itself.
        if self._putting is not None and self._putting.is_alive():
            return
        count = sum(map(len, self.tally.committed.values()))
        new = count - self._count
        if new < UNITS and (not new or self.clock() - self._at < EVERY):
            return
        found = {name: dict(units) for name, units in self.tally.committed.items()}
        self._putting = threading.Thread(target=_put, args=(self.output, found), name="counting", daemon=True)
        self._putting.start()
        self._count, self._at = count, self.clock()

    def end(self) -> None:
        """Wait for what is being put, but not for storage that does not answer."""
        if self._putting is not None:
            self._putting.join(timeout=PATIENCE)


def _put(output: str, found: Mapping[str, Mapping[str, Count]]) -> None:
    with beside():
        for name, units in found.items():
            table.add_known(output, name, units)
