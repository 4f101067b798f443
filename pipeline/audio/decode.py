"""Encoded audio to mono samples at 16 kHz."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.audio.constants import SAMPLE_RATE, SLACK_SECONDS
from pipeline.audio.crops import Crop, crop_of
from pipeline.audio.growing import Growing
from pipeline.audio.reader import Reader
from pipeline.audio.sweep import Collected, S, sweep
from pipeline.audio.virtual import Audio
from pipeline.corpus import Seconds
from pipeline.errors import RecordingError


@dataclass(frozen=True, slots=True)
class Decoded:
    """Samples of one recording or of a stretch of it."""

    samples: NDArray[np.float32]
    """(N,) at 16 kHz, within +-1."""
    duration: Seconds
    """Whole source samples over the source's rate."""
    sample_rate: int
    """Hz of the source."""
    channels: int
    """Of the source."""
    warnings: tuple[str, ...]


class _Samples:
    """A sink that keeps samples."""

    def __init__(self) -> None:
        self.kept = Growing()

    def push(self, samples: NDArray[np.float32], /) -> None:
        self.kept.append(samples)


def load(bytes_or_path: Audio | str | os.PathLike[str]) -> tuple[NDArray[np.float32], int]:
    """Samples of a whole recording, mono (N,) float32, and their rate, 16000.

    Raises:
        RecordingError: where it cannot be decoded.
        OSError: where the path cannot be opened.
    """
    if isinstance(bytes_or_path, str | os.PathLike):
        with Path(bytes_or_path).open("rb") as file:
            return decode(file).samples, SAMPLE_RATE
    return decode(bytes_or_path).samples, SAMPLE_RATE


def decode(audio: Audio, *, start: Seconds = 0.0, end: Seconds | None = None) -> Decoded:
    """Decode, mix to mono and resample a recording or the stretch [start, end) of it.

    Args:
        audio: encoded, any format that libsndfile reads.
        start: seconds, rounded to the nearest source sample.
        end: seconds; None is the end of the recording.

    Raises:
        RecordingError: stage `decode`, type `decode` (not audio), `empty` (no samples) or `too_long`.
    """
    with Reader(audio) as reader:
        crop = crop_of(start, end, context=0, sample_rate=reader.sample_rate)
        heard = sweep(reader, [crop], _Samples)[0]
        check_heard(heard, crop, reader)
        return Decoded(
            samples=heard.sink.kept.array(),
            duration=heard.num_samples / reader.sample_rate,
            sample_rate=reader.sample_rate,
            channels=reader.channels,
            warnings=warnings_of(heard, crop, reader),
        )


def check_heard(heard: Collected[S], crop: Crop, reader: Reader) -> None:
    """Refuse a crop without a single sample of its own.

    Raises:
        RecordingError: stage `decode`, type `empty`, or `decode` where the header promises samples.
    """
    if crop.begin + heard.num_samples > crop.start:
        return
    declared, rate = reader.declared_seconds(), reader.sample_rate
    if crop.end is not None and crop.end <= crop.start:
        asked = f"{crop.start / rate:.3f} to {crop.end / rate:.3f} s"
        raise RecordingError("decode", "empty", f"no sample lies in {asked}")
    if declared == 0:
        raise RecordingError("decode", "empty", "the file has a header and no samples")
    if declared is not None and crop.start >= round(declared * rate):
        ends = f"the recording ends at {declared:.3f} s"
        raise RecordingError("decode", "empty", f"nothing at {crop.start / rate:.3f} s: {ends}")
    reason = reader.damage or "the file ends there"
    raise RecordingError("decode", "decode", f"nothing decodes from {crop.start / rate:.3f} s on: {reason}")


def warnings_of(heard: Collected[S], crop: Crop, reader: Reader) -> tuple[str, ...]:
    """What went wrong on the way, and whether the recording ended before the crop did."""
    if crop.end is None or any(warning.startswith("truncated") for warning in heard.warnings):
        return heard.warnings
    rate, ends = reader.sample_rate, crop.begin + heard.num_samples
    if ends >= crop.end - SLACK_SECONDS * rate:
        return heard.warnings
    asked = f"asked for audio up to {crop.end / rate:.2f} s"
    return (*heard.warnings, f"{asked}, the recording ends at {ends / rate:.2f} s")
