"""Any rate to 16 kHz, block by block."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio.constants import SAMPLE_RATE


class Resampler:
    """libsoxr in its high quality, as a stream: how samples are cut into blocks changes nothing.

    Args:
        sample_rate: Hz of what comes in; 16 kHz goes through untouched.
    """

    def __init__(self, sample_rate: int) -> None:
        same = sample_rate == SAMPLE_RATE
        self._stream = None if same else soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take (n,) at the source's rate, give what is ready at 16 kHz."""
        if self._stream is None:
            return samples
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples)
        return resampled

    def flush(self) -> NDArray[np.float32]:
        """What the filter still holds; once, at the end."""
        nothing = np.empty(0, dtype=np.float32)
        if self._stream is None:
            return nothing
        rest: NDArray[np.float32] = self._stream.resample_chunk(nothing, last=True)
        return rest
