"""Changes of audio: as strong as they are meant to be, and the same for the same draw."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.training.augment import (
    Recipe,
    at_snr,
    at_speed,
    augment,
    coloured_noise,
    reverberate,
    through_channel,
)

RATE = 16_000
ALL = Recipe(noise=1, filters=1, reverb=1, telephone=1, gain=6)


def said(seconds: float = 1.0) -> np.ndarray:
    times = np.arange(int(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def power(samples: np.ndarray) -> float:
    return float(np.square(samples).mean())


def peak_hertz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE / len(samples))


def test_equal_draws_give_equal_samples_and_others_do_not() -> None:
    one, same, other = (augment(said(), ALL, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert one.dtype == np.float32
    assert len(one) == RATE


def test_without_shares_nothing_changes() -> None:
    assert np.array_equal(augment(said(), Recipe(), np.random.default_rng(0)), said())


@pytest.mark.parametrize("snr", [0.0, 10.0, 25.0])
def test_noise_is_as_loud_as_asked(snr: float) -> None:
    noise = coloured_noise(RATE, np.random.default_rng(0))
    added = at_snr(said(), noise, snr) - said()
    assert 10 * np.log10(power(said()) / power(added)) == pytest.approx(snr, abs=0.01)


@pytest.mark.parametrize(("share", "times"), [(0, range(1)), (0.3, range(35, 86)), (1, range(200, 201))])
def test_babble_is_taken_from_other_voices_as_often_as_asked(share: float, times: range) -> None:
    asked: list[int] = []

    def voice(random: np.random.Generator, num_samples: int) -> np.ndarray:
        asked.append(num_samples)
        return np.ones(num_samples, np.float32)

    babbled = 0
    for seed in range(200):
        before = len(asked)
        augment(said(), Recipe(noise=1, babble=share), np.random.default_rng(seed), voice=voice)
        babbled += len(asked) > before
    assert babbled in times
    assert set(asked) <= {RATE}


@pytest.mark.parametrize(("speed", "hertz"), [(0.8, 352), (1.25, 550)])
def test_speed_changes_length_and_pitch(speed: float, hertz: float) -> None:
    changed = at_speed(said(2.0), speed)
    assert len(changed) == pytest.approx(2 * RATE / speed, abs=2)
    assert peak_hertz(changed) == pytest.approx(hertz, abs=2)


@pytest.mark.parametrize("change", [lambda s, r: through_channel(s, r, spread_db=8), reverberate])
def test_channels_and_rooms_leave_length_and_loudness(change) -> None:
    changed = change(coloured_noise(15_997, np.random.default_rng(3)), np.random.default_rng(4))
    assert len(changed) == 15_997
    assert power(changed) == pytest.approx(power(coloured_noise(15_997, np.random.default_rng(3))), rel=1e-3)


def test_a_telephone_line_leaves_nothing_above_4_khz() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(augment(noise, Recipe(telephone=1), np.random.default_rng(0))))
    assert spectrum[4200:].max() < 0.01 * spectrum[:3500].mean()


def test_a_gain_stays_within_its_decibels() -> None:
    factors = [
        np.abs(augment(said(), Recipe(gain=6), np.random.default_rng(seed))).max() / np.abs(said()).max()
        for seed in range(30)
    ]
    assert 10 ** (-6 / 20) <= min(factors) < 0.8
    assert 1.25 < max(factors) <= 10 ** (6 / 20) + 1e-6


def test_silence_stays_silence() -> None:
    silence = np.zeros(8000, np.float32)
    changed = augment(silence, ALL, np.random.default_rng(0))
    assert np.isfinite(changed).all()
    assert not changed.any()
