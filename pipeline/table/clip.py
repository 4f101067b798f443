"""The audio of one planned row, as it is heard: mono, 16 kHz."""

from __future__ import annotations

import numpy as np

from pipeline import sources
from pipeline.audio.wav import encode_wav
from pipeline.corpus import Recording, Unit
from pipeline.errors import RecordingError
from pipeline.featurising import ON_DEVICE, Featurise, made_of


def clip(recording: Recording, decode: Featurise) -> bytes:
    """WAV file of the stretch that a row is about.

    Args:
        recording: as it was planned.
        decode: what decodes it; in a process of its own, a file that crashes or hangs costs only itself.

    Raises:
        RecordingError: it cannot be read as it was planned, or not decoded.
        StorageFault: storage failed for longer than the retries.
    """
    made = made_of(sources.read(Unit("", (recording,))), 0, ON_DEVICE, decode)
    if made.errors:
        error = made.errors[0]
        raise RecordingError(error.stage, error.type, error.message)
    (samples,) = made.parts
    scale = np.float32(2**-15 if samples.dtype == np.int16 else 1.0)
    return encode_wav(samples.astype(np.float32) * scale)
