"""Features computed where the model is: the constants of `pipeline.audio`, the arithmetic of `pipeline.models`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch

from pipeline.audio import constants
from pipeline.audio.fbank import mel_filters, window
from pipeline.models.fbank import Fbank, FbankShape


@cache
def fbank_on(device: str | torch.device, dtype: torch.dtype = torch.float64) -> Fbank:
    """Make what turns 16 kHz samples into (T, 160) features on a device, 50 frames a second.

    Args:
        device: where it computes.
        dtype: what the arithmetic runs in, float64 or float32.
    """
    shape = FbankShape(
        shift=constants.FRAME_SHIFT,
        preemphasis=constants.PREEMPHASIS,
        mel_floor=constants.MEL_FLOOR,
        variance_floor=constants.VARIANCE_FLOOR,
        stride=constants.STACK,
    )
    weights, filters = window(np.dtype(np.float64)), mel_filters()
    return Fbank(torch.from_numpy(weights), torch.from_numpy(filters), shape).to(device, dtype)


def features_on(device: str) -> Callable[[np.ndarray, Sequence[int]], np.ndarray]:
    """Make what turns packed samples of recordings into their features, by way of a device; see `flow.Fbank`."""

    @torch.inference_mode()
    def fbank(samples: np.ndarray, counts: Sequence[int]) -> np.ndarray:
        with warnings.catch_warnings():
            # What came from another process may be read-only, which torch warns of; nothing writes to it.
            warnings.simplefilter("ignore", UserWarning)
            held = torch.from_numpy(samples)
        made: np.ndarray = fbank_on(device)(held, counts).cpu().numpy()
        return made

    return fbank
