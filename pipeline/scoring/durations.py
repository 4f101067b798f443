"""Errors by how long recordings are."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.corpus import Seconds

EDGES: tuple[Seconds, ...] = (0, 1, 2, 5, 10, 20, 30, 60, 300, 1800, 3600)
"""Lower ends of the groups; the last has no upper end."""


@dataclass(frozen=True, slots=True)
class DurationGroup:
    """The recordings with low <= duration < high."""

    low: Seconds
    high: Seconds | None
    """None: no upper end."""
    recordings: int
    errors: int
    total: int
    """What the errors are counted in: words, frames, recordings."""

    @property
    def rate(self) -> float | None:
        """Errors as a share of the total; None without any."""
        return self.errors / self.total if self.total else None


def by_duration(
    durations: Sequence[Seconds], errors: Sequence[int], totals: Sequence[int]
) -> tuple[DurationGroup, ...]:
    """Add up the errors of the recordings of each group of durations; groups without recordings are left out.

    Args:
        durations: seconds of each recording.
        errors: wrong words, frames or labels of each.
        totals: words, frames or labels of each.
    """
    groups: dict[int, list[int]] = {}
    for duration, wrong, total in zip(durations, errors, totals, strict=True):
        sums = groups.setdefault(bisect.bisect_right(EDGES, duration) - 1, [0, 0, 0])
        sums[0], sums[1], sums[2] = sums[0] + 1, sums[1] + wrong, sums[2] + total
    highs = (*EDGES[1:], None)
    return tuple(DurationGroup(EDGES[i], highs[i], *groups[i]) for i in sorted(groups))
