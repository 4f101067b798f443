"""Where two spans of one recording part their words: the quietest moment near the seam.

Each span is decoded by itself, and normalised over itself, so a word that sits on the seam may come out a frame earlier
in one than in the other, and be taken by both or by neither. Both hear the same audio around the seam, though: a pause
found in it before normalisation is the same for both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import FRAMES_PER_SECOND

REACH = FRAMES_PER_SECOND
"""Stacked frames on each side of a seam that are looked at: 1 s, within what both spans hear."""
PAUSE = 9
"""Stacked frames over which loudness is averaged: 180 ms, a short pause between words."""
DECIMALS = 3
"""Log power is compared to this precision, so that rounding in the resampler decides nothing."""


def within_reach(near: int, num_frames: int) -> tuple[int, int]:
    """Stacked frames that are looked at for a seam: the first, and the one after the last of so many."""
    return max(0, near - REACH - PAUSE // 2), min(num_frames, near + REACH + PAUSE // 2 + 1)


def quietest(log_mel: NDArray[np.floating], near: int) -> int:
    """Stacked frame in the middle of the quietest pause near a seam.

    Args:
        log_mel: (2 T or 2 T + 1, 80) before normalisation, 100 frames/s.
        near: the stacked frame of the seam.

    Returns:
        A stacked frame within `REACH` of `near`; `near` itself where there is too little audio around it.
    """
    first, stop = within_reach(near, len(log_mel) // 2)
    if stop - first < PAUSE:
        return near
    # Power, not its logarithm: bands above a low sample rate hold only rounding noise, which differs between spans.
    power = np.exp(log_mel[2 * first : 2 * stop].astype(np.float64)).sum(axis=1).reshape(-1, 2).sum(axis=1)
    pauses = np.round(np.log(np.convolve(power, np.full(PAUSE, 1 / PAUSE), mode="valid")), DECIMALS)
    return first + int(pauses.argmin()) + PAUSE // 2
