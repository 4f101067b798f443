"""Samples as a WAV file."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline.audio.constants import SAMPLE_RATE


def encode_wav(samples: NDArray[np.float32]) -> bytes:
    """16-bit WAV of (N,) samples within +-1 at 16 kHz."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
