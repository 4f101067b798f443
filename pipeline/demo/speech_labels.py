"""Where speech is in a clean recording, by its energy: what frame labellers of the demo are taught and judged by.

Letters: N samples, n frames of 20 ms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.training.augment import Samples

FRAME = 0.02
"""Seconds of a frame of the labels."""
FLOOR_DB, CLOSED = 30.0, 10
"""Speech is what is less than so far below the loudest frame; gaps of fewer frames than this count as speech too."""
BACKGROUND_SHARE, BACKGROUND_DB = 0.05, 4.0
"""Share of the frames with sound that only the background is heard in, and how far above it speech begins. With white
noise 22 to 35 dB below the loudest frame of train-clean-100, labels made so keep 96 % to 99 % F1 of those made without;
by `FLOOR_DB` alone 88 %, as such a background counts as speech from end to end."""
LOUD_DB = 15.0
"""What is less than so far below the loudest frame is no background: in speech without a pause its quiet sounds."""
RUMBLE_HZ, VOICE_HZ = 100.0, 300.0
"""What is below the first does not count, what is above the second counts whole: wind, bumps and hum have no formants,
and voices have harmonics above."""
SILENT_DB = -90.0
"""Below this is digital silence."""


def speech_of(samples: Samples, rate: int) -> list[dict[str, object]]:
    """Intervals of speech of a clean recording (N,), as labels of frames are written: seconds."""
    size = round(FRAME * rate)
    count = len(samples) // size
    if not count:
        return []
    power = np.square(_without_rumble(samples, rate)[: count * size].reshape(count, size)).mean(axis=1)
    level = 10 * np.log10(np.convolve(power, np.ones(3) / 3, mode="same") + 1e-12)
    talks = level > max(_background(level) + BACKGROUND_DB, level.max() - FLOOR_DB, -60)
    edges = np.flatnonzero(np.diff(talks, prepend=False, append=False)).reshape(-1, 2).tolist()
    joined: list[list[int]] = []
    for start, stop in edges:
        if joined and start - joined[-1][1] < CLOSED:
            joined[-1][1] = stop
        else:
            joined.append([start, stop])
    return [{"start": round(a * FRAME, 3), "end": round(b * FRAME, 3), "label": "speech"} for a, b in joined]


def _without_rumble(samples: Samples, rate: int) -> NDArray[np.float64]:
    spectrum, hz = np.fft.rfft(samples.astype(np.float64)), np.fft.rfftfreq(len(samples), 1 / rate)
    # With a sharp edge the filter would ring into the pauses.
    spectrum *= np.sin(np.pi / 2 * np.clip((hz - RUMBLE_HZ) / (VOICE_HZ - RUMBLE_HZ), 0, 1)) ** 2
    high: NDArray[np.float64] = np.fft.irfft(spectrum, len(samples))
    return high


def _background(level: NDArray[np.float64]) -> float:
    """Decibels of what a recording's pauses hold; of digital silence where that is not known."""
    sounds = level[level > SILENT_DB]
    quietest = float(np.quantile(sounds, BACKGROUND_SHARE)) if len(sounds) else SILENT_DB
    return quietest if quietest < float(level.max()) - LOUD_DB else SILENT_DB
