"""Audio as other voices, rooms, lines and loudnesses would have it: samples in, samples out, every draw repeatable.

Letters: N samples at 16 kHz, F = N // 2 + 1 frequencies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE

Samples = NDArray[np.float32]
Voice = Callable[[np.random.Generator, int], Samples]
"""Gives so many samples of somebody else's speech."""

KNOTS_HZ = np.array([0.0, 100, 200, 400, 800, 1600, 3000, 4500, 6000, 8000])
"""Where the gains of a random channel are drawn; between them they are interpolated."""
VOICES = (2, 5)
"""How many talk at once in babble, from and below."""
LINE_RATE = 8000
"""Hz: what a telephone line keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How audio is changed in training; shares are probabilities for each recording."""

    noise: float = 0.0
    """Share with noise: coloured at random, or babble of other recordings."""
    babble: float = 0.3
    """Share of the noise that is babble."""
    snr: tuple[float, float] = (5.0, 30.0)
    """Decibels of speech above noise, uniform."""
    filters: float = 0.0
    """Share heard through a random channel."""
    channel_db: float = 8.0
    """Standard deviation of the channel's gains at `KNOTS_HZ`, decibels."""
    reverb: float = 0.0
    """Share heard in a room."""
    telephone: float = 0.0
    """Share that a telephone line carries: nothing above 4 kHz is left."""
    gain: float = 0.0
    """Decibels up or down, uniform."""


def augment(samples: Samples, recipe: Recipe, random: np.random.Generator, *, voice: Voice | None = None) -> Samples:
    """(N,) -> (N,): room, channel, noise, line, loudness, each as often as the recipe says.

    Args:
        samples: what was said.
        recipe: how to change it.
        random: every draw comes from it; equal states give equal samples.
        voice: where babble comes from; without it noise is coloured noise.
    """
    # Drawn first and all: whether one change is made moves no draw of another.
    room, channel, noisy, line, loud = random.random(5)
    if room < recipe.reverb:
        samples = reverberate(samples, random)
    if channel < recipe.filters:
        samples = through_channel(samples, random, spread_db=recipe.channel_db)
    if noisy < recipe.noise:
        babbling = voice is not None and random.random() < recipe.babble
        noise = _babble(len(samples), random, voice) if voice and babbling else coloured_noise(len(samples), random)
        samples = at_snr(samples, noise, random.uniform(*recipe.snr))
    if line < recipe.telephone:
        samples = _through_line(samples)
    factor = 10 ** ((2 * loud - 1) * recipe.gain / 20)
    changed: Samples = np.clip(samples * np.float32(factor), -1, 1)
    return changed


def at_speed(samples: Samples, speed: float) -> Samples:
    """(N,) -> about (N / speed,): faster and higher above 1, slower and lower below."""
    if speed == 1:
        return samples
    changed: Samples = soxr.resample(samples, SAMPLE_RATE * speed, SAMPLE_RATE)
    return changed


def through_channel(samples: Samples, random: np.random.Generator, *, spread_db: float) -> Samples:
    """(N,) -> (N,) through a microphone and a line whose gains differ smoothly over frequencies."""
    gains_db = random.normal(0, spread_db, len(KNOTS_HZ))
    size = _fast(len(samples))
    # (F,)
    gains = 10 ** (np.interp(np.fft.rfftfreq(size, 1 / SAMPLE_RATE), KNOTS_HZ, gains_db) / 20)
    return _as_loud(np.fft.irfft(np.fft.rfft(samples, size) * gains, size)[: len(samples)], samples)


def reverberate(samples: Samples, random: np.random.Generator) -> Samples:
    """(N,) -> (N,) with a tail of decaying noise after the direct sound, as in a room."""
    decay = random.uniform(0.1, 0.6)
    direct_db = random.uniform(-3, 12)
    times = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
    # Sound has fallen by 60 dB after `decay` seconds.
    tail = random.standard_normal(len(times)) * 10 ** (-3 * times / decay)
    # The first reflections come a few milliseconds after the direct sound.
    tail[: int(random.uniform(0.002, 0.01) * SAMPLE_RATE)] = 0
    response = tail * 10 ** (-direct_db / 20) / np.sqrt(np.square(tail).sum())
    response[0] = 1
    size = _fast(len(samples) + len(response) - 1)
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    return _as_loud(wet[: len(samples)], samples)


def coloured_noise(num_samples: int, random: np.random.Generator) -> Samples:
    """(N,) noise whose spectrum falls or rises at random, and whose loudness may sway."""
    size = _fast(num_samples)
    spectrum = np.fft.rfft(random.standard_normal(size, dtype=np.float32))
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    slope_db = random.uniform(-9, 3)
    # Decibels an octave above 50 Hz.
    octaves = np.log2(np.maximum(frequencies, 50) / 50)
    bumps = np.interp(frequencies, KNOTS_HZ, random.normal(0, 4, len(KNOTS_HZ)))
    noise = np.fft.irfft(spectrum * 10 ** ((slope_db * octaves + bumps) / 20), size)[:num_samples]
    if random.random() < 0.5:
        knots = max(2, round(num_samples / SAMPLE_RATE * 4))
        sway_db = np.interp(np.linspace(0, knots - 1, num_samples), np.arange(knots), random.normal(0, 5, knots))
        noise *= 10 ** (sway_db / 20)
    return noise.astype(np.float32)


def at_snr(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """(N,) and (N,) -> their sum, the first so many decibels louder than the second."""
    power, disturbing = np.square(samples).mean(), np.square(noise).mean()
    if power <= 0 or disturbing <= 0:
        return samples
    factor = np.sqrt(power / disturbing) * 10 ** (-snr_db / 20)
    return (samples + np.float32(factor) * noise).astype(np.float32)


def _babble(num_samples: int, random: np.random.Generator, voice: Voice) -> Samples:
    babble: Samples = np.sum([voice(random, num_samples) for _ in range(random.integers(*VOICES))], axis=0)
    return babble


def _through_line(samples: Samples) -> Samples:
    line = soxr.resample(samples, SAMPLE_RATE, LINE_RATE)
    back: Samples = soxr.resample(line, LINE_RATE, SAMPLE_RATE)
    return back


def _fast(size: int) -> int:
    """A size not below this one whose Fourier transform has small factors only: others take several times as long."""
    step = 1 << max(0, size.bit_length() - 4)
    return -(-size // step) * step


def _as_loud(changed: NDArray[np.floating], samples: Samples) -> Samples:
    """What was changed, as loud as it was before, so that nothing is cut off at full scale."""
    power = np.square(changed).mean()
    factor = np.sqrt(np.square(samples).mean() / power) if power > 0 else 0.0
    return (changed * factor).astype(np.float32)
