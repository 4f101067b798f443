"""Numbers of the front end, derived from each other.

Frames follow Kaldi's `compute-fbank-feats` as `transformers.SeamlessM4TFeatureExtractor` sets it up for
Wav2Vec2-BERT (`kaldi/src/feat/feature-window.h`, `mel-computations.h`).
"""

from __future__ import annotations

from typing import Final

from pipeline.corpus import FRAMES_PER_SECOND

SAMPLE_RATE: Final = 16000
"""Hz that every model hears."""

FRAME_LENGTH: Final = SAMPLE_RATE * 25 // 1000
"""400 samples: Kaldi's `frame-length`, 25 ms."""
FRAME_SHIFT: Final = SAMPLE_RATE * 10 // 1000
"""160 samples: Kaldi's `frame-shift`, 10 ms."""
FFT_LENGTH: Final = 512
"""Next power of two above the frame length: Kaldi's `round-to-power-of-two`."""
NUM_BINS: Final = FFT_LENGTH // 2 + 1
"""257 frequencies of a real FFT."""

PREEMPHASIS: Final = 0.97
"""Kaldi's `preemphasis-coefficient`."""
POVEY_POWER: Final = 0.85
"""Kaldi's `povey` window is a Hann window to this power."""
FULL_SCALE: Final = 2.0**15
"""Kaldi hears 16-bit integers; samples here are within +-1."""

NUM_MELS: Final = 80
LOW_HZ: Final = 20.0
"""Kaldi's `low-freq`."""
HIGH_HZ: Final = SAMPLE_RATE / 2
MEL_FLOOR: Final = 2.0**-23
"""1.19e-7, float32's epsilon: Kaldi's floor under the logarithm."""

VARIANCE_FLOOR: Final = 1e-7
"""Added to each bin's variance (`SeamlessM4TFeatureExtractor.__call__`)."""
STACK: Final = SAMPLE_RATE // (FRAME_SHIFT * FRAMES_PER_SECOND)
"""2 neighbouring frames make one input of the encoder."""
SHORTEST: Final = (FRAME_LENGTH + (STACK - 1) * FRAME_SHIFT) / SAMPLE_RATE
"""Seconds of audio, 0.035, that the first stacked frame takes."""
FEATURE_SIZE: Final = NUM_MELS * STACK
"""160 values a stacked frame."""

MIN_SOURCE_RATE: Final = 1_000
MAX_SOURCE_RATE: Final = 768_000
"""Hz; a header outside of these is taken for damage, not for audio."""
MAX_CHANNELS: Final = 128
MAX_SECONDS: Final = 24 * 3600.0
"""Longest stretch that is made into one array: a few kilobytes of FLAC can promise, and decode to, weeks."""
MAX_AMPLITUDE: Final = 2.0**24
"""Largest sample believed: 500 times a 16-bit integer written as float; what is larger is no amplitude."""

CANCELLED: Final = 1e-3
"""-30 dB: a mix this far below its channels has cancelled itself; 128 unrelated channels lose 21 dB."""

BLOCK_VALUES: Final = 1 << 18
"""Samples times channels that are decoded at once: 1 MiB of float32."""
SEEK_SECONDS: Final = 20.0
"""A gap between crops at least this long is skipped by seeking, a shorter one by decoding through it."""
SLACK_SECONDS: Final = 0.1
"""Durations that differ by less (four MP3 frames) are not worth a warning."""
