"""Samples that are kept, for features that are made elsewhere: in 16 bits where those hold them exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.constants import FULL_SCALE
from pipeline.audio.growing import Growing

Samples = NDArray[np.int16] | NDArray[np.float32]
"""(N,) at 16 kHz: 16-bit integers, or within +-1."""


class SampleStream:
    """A sink that keeps samples."""

    def __init__(self) -> None:
        self._kept = Growing()
        self._exact = True

    def push(self, samples: NDArray[np.float32], /) -> None:
        """Take (n,) at 16 kHz."""
        self._exact = self._exact and fits_16_bits(samples)
        self._kept.append(samples)

    def samples(self) -> Samples:
        """All of them, at the end: integers where every one is one, as in 16-bit audio that was not resampled."""
        kept = self._kept.array()
        return np.multiply(kept, FULL_SCALE, out=kept).astype(np.int16) if self._exact else kept


def fits_16_bits(samples: NDArray[np.float32]) -> bool:
    """Whether 16-bit integers hold samples within +-1 without loss."""
    scaled = samples * np.float32(FULL_SCALE)
    whole = np.rint(scaled)
    return bool(np.array_equal(scaled, whole) and np.all((whole >= -FULL_SCALE) & (whole < FULL_SCALE)))


def as_floats(samples: Samples) -> NDArray[np.float32]:
    """Samples within +-1."""
    floats = samples.astype(np.float32, copy=False)
    return floats / np.float32(FULL_SCALE) if samples.dtype == np.int16 else floats


def of_one_kind(parts: Sequence[Samples]) -> Sequence[Samples]:
    """Leave integers where all are, else make floats of them all."""
    return parts if all(part.dtype == np.int16 for part in parts) else [as_floats(part) for part in parts]
