"""Log-mel frames to what the encoder takes: each bin normalised, neighbours stacked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.constants import STACK, VARIANCE_FLOOR

_BLOCK = 4096
"""Frames at once: a float64 copy of a block is small, one of a long recording is not."""


def normalise_in_place(frames: NDArray[np.float32]) -> None:
    """Give each bin zero mean and unit variance over all frames; `frames` (n, 80) is overwritten.

    Variance is the sample's (ddof 1) plus 1e-7, statistics are float64. An odd last frame counts in them,
    though `stack` leaves it out, as in `SeamlessM4TFeatureExtractor`. One frame alone becomes zeros.
    """
    if not len(frames):
        return
    mean = frames.mean(axis=0, dtype=np.float64)
    squares = np.zeros_like(mean)
    for block in _blocks(frames):
        squares += np.square(block - mean).sum(axis=0)
    scale = 1.0 / np.sqrt(squares / max(1, len(frames) - 1) + VARIANCE_FLOOR)
    for block in _blocks(frames):
        block[:] = (block - mean) * scale


def stack(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join each two neighbours: (n, 80) to (n // 2, 160), without copying; an odd last frame is left out.

    `SeamlessM4TFeatureExtractor` pads it with zeros and masks the result.
    """
    num_stacked = len(frames) // STACK
    return frames[: num_stacked * STACK].reshape(num_stacked, frames.shape[1] * STACK)


def _blocks(frames: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [frames[first : first + _BLOCK] for first in range(0, len(frames), _BLOCK)]
