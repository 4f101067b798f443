"""Stretches of time from probabilities of frames: a threshold with hysteresis, gaps closed, blips dropped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rule:
    """When a label begins and ends; counts are frames of 20 ms."""

    threshold: float
    """A span has at least one frame of this probability."""
    release: float
    """It goes on while frames have this one; at most `threshold`."""
    min_frames: int
    """Shorter spans are dropped, after gaps are closed."""
    min_gap: int
    """Shorter gaps between two spans are closed."""


def spans(probabilities: NDArray[np.floating], rule: Rule) -> list[tuple[int, int]]:
    """Find the spans [first, stop) of one label, in order.

    Args:
        probabilities: (T,) of each frame, 0 to 1.
        rule: when a span begins and ends.
    """
    going_on = probabilities >= rule.release
    edges = np.flatnonzero(np.diff(going_on, prepend=False, append=False))
    runs = [
        (int(start), int(stop))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
        if probabilities[start:stop].max() >= rule.threshold
    ]
    return [run for run in joined(runs, rule.min_gap) if run[1] - run[0] >= rule.min_frames]


def joined(runs: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Make one of neighbours that lie fewer than `gap` frames apart."""
    result: list[tuple[int, int]] = []
    for start, stop in runs:
        if result and start - result[-1][1] < gap:
            result[-1] = (result[-1][0], stop)
        else:
            result.append((start, stop))
    return result
