"""Features computed where the model is: the constants of `pipeline.audio`, the arithmetic of `pipeline.models`."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.audio import constants
from pipeline.audio.fbank import mel_filters, window
from pipeline.models.fbank import Fbank, FbankShape


def fbank_on(device: str | torch.device) -> Fbank:
    """Make what turns 16 kHz samples into (T, 160) features on a device, 50 frames a second."""
    shape = FbankShape(
        shift=constants.FRAME_SHIFT,
        preemphasis=constants.PREEMPHASIS,
        mel_floor=constants.MEL_FLOOR,
        variance_floor=constants.VARIANCE_FLOOR,
        stride=constants.STACK,
    )
    weights, filters = window(np.dtype(np.float64)), mel_filters()
    return Fbank(torch.from_numpy(weights), torch.from_numpy(filters), shape).to(device)
