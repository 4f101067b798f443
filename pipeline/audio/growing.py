"""An array that grows without ever being in memory twice."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_STEP_BYTES = 16 << 20


class Growing:
    """Rows of float32 whose number is unknown until the last one.

    Growing reallocates, for which the operating system moves pages, not bytes: unlike a list of blocks joined
    at the end, the peak is the array itself and at most 16 MiB.

    Args:
        row: shape of one row, `()` for samples.
    """

    def __init__(self, *row: int) -> None:
        self._row = row
        self._rows = np.empty((0, *row), dtype=np.float32)
        self._used = 0

    def append(self, rows: NDArray[np.float32]) -> None:
        """Copy (n, *row) to the end."""
        needed = self._used + len(rows)
        if needed > len(self._rows):
            step = _STEP_BYTES // (4 * math.prod(self._row))
            self._resize(needed if not self._used else needed + min(needed, step))
        self._rows[self._used : needed] = rows
        self._used = needed

    def array(self) -> NDArray[np.float32]:
        """Everything so far, (N, *row), contiguous; hand it on and append no more."""
        self._resize(self._used)
        return self._rows

    def _resize(self, num_rows: int) -> None:
        # No view outlives a call above, which is all that the reference check would find out.
        self._rows.resize((num_rows, *self._row), refcheck=False)
