"""Whether scores are probabilities: of the labels with score 0.8, four in five should be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15
"""Bins of equal width over scores from 0 to 1, as many as the paper below has."""


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """The labels whose score lies in low < score <= high; the first bin holds 0 too."""

    low: float
    high: float
    count: int
    mean_score: float
    """0 for an empty bin, as `share_right`."""
    share_right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores beside how often they were right."""

    bins: tuple[ScoreBin, ...]

    @property
    def error(self) -> float | None:
        """Expected calibration error, 0 to 1; None without any score.

        The mean over all labels of |share right - mean score| of their bin: Guo et al., "On Calibration of Modern
        Neural Networks", 2017, equation 3.
        """
        total = sum(each.count for each in self.bins)
        gaps = sum(each.count * abs(each.share_right - each.mean_score) for each in self.bins)
        return gaps / total if total else None


def calibration(scores: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> Calibration:
    """Sort scores into bins of equal width.

    Args:
        scores: (N,) of given labels, 0 to 1.
        right: (N,) whether the label is the reference's.
        bins: how many.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    edges = np.linspace(0.0, 1.0, bins + 1)
    places = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)
    return Calibration(tuple(_bin(edges, i, values[places == i], truth[places == i]) for i in range(bins)))


def _bin(edges: NDArray[np.float64], place: int, scores: NDArray[np.float64], right: NDArray[np.bool_]) -> ScoreBin:
    mean, share = (float(scores.mean()), float(right.mean())) if len(scores) else (0.0, 0.0)
    return ScoreBin(float(edges[place]), float(edges[place + 1]), len(scores), mean, share)
