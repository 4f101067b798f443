"""How good a model is while it is trained: numbers in, one number out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.scoring import speakers as speakers_scoring
from pipeline.scoring import trials


def accuracy(labels: NDArray[np.integer], found: NDArray[np.integer]) -> float:
    """Share of (N,) labels that were found; 0 without any."""
    return float(np.mean(labels == found)) if len(labels) else 0.0


def f1(labels: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """F1 of marks, any shape: 2 hits over marks there and marks found; 1 where there are none and none are found."""
    both, marks = int((labels & found).sum()), int(labels.sum()) + int(found.sum())
    return 2 * both / marks if marks else 1.0


def root_mean_square(labels: NDArray[np.floating], found: NDArray[np.floating]) -> float:
    """Root of the mean squared difference of (N,) numbers; 0 without any."""
    return float(np.sqrt(np.square(labels - found).mean())) if len(labels) else 0.0


def equal_error_rate_of_pairs(
    embeddings: NDArray[np.floating], speakers: NDArray[np.integer], recordings: NDArray[np.integer]
) -> float:
    """Equal error rate over all pairs of segments by the cosines of their embeddings; NaN without both kinds of pair.

    Pairs from one recording are left out, unless no speaker has two recordings.

    Args:
        embeddings: (N, E).
        speakers: (N,) the number of each segment's speaker.
        recordings: (N,) the number of the recording that it is from.
    """
    first, second = trials.pairs(len(embeddings))
    same = speakers[first] == speakers[second]
    apart = recordings[first] != recordings[second]
    keep = apart if (same & apart).any() else np.ones_like(same)
    scores = trials.cosines(embeddings.astype(np.float32), first[keep], second[keep])
    if same[keep].all() or not same[keep].any():
        return float("nan")
    return speakers_scoring.curve(scores, same[keep]).equal_error_rate
