"""Audio to test with: made by formula, or encoded from human recordings."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]

CODECS = {
    "wav": ("WAV", "PCM_16"),
    "wav-float": ("WAV", "FLOAT"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
}


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """Samples to the bytes of a file."""

    def _encode(samples: Samples, rate: int = 16000, codec: str = "wav") -> bytes:
        buffer = io.BytesIO()
        container, subtype = CODECS[codec]
        soundfile.write(buffer, samples, rate, format=container, subtype=subtype)
        return buffer.getvalue()

    return _encode


@pytest.fixture(scope="session")
def babble() -> Callable[..., Samples]:
    """Syllables of noise between pauses: every band and every level, any rate."""

    def _babble(seconds: float, rate: int = 16000, seed: int = 0) -> Samples:
        random = np.random.default_rng(seed)
        times = np.arange(round(seconds * rate)) / rate
        loudness = 0.2 * np.maximum(0.0, np.sin(2 * np.pi * 3.1 * times)) + 1e-4
        tone = np.sin(2 * np.pi * 180 * times + 3 * np.sin(2 * np.pi * 2.3 * times))
        return (loudness * (tone + 0.3 * random.standard_normal(len(times)))).astype(np.float32)

    return _babble


@pytest.fixture(scope="session")
def clips(speech: Path) -> list[Samples]:
    """Human utterances at 16 kHz."""
    paths = sorted((speech / "librispeech/test-other").glob("**/*.flac"))[::6]
    return [soundfile.read(path, dtype="float32")[0] for path in paths]


@pytest.fixture(scope="session")
def clip(clips: list[Samples]) -> Samples:
    """One of them, the shortest."""
    return min(clips, key=len)
