"""Labels of speech by energy: where it is loud, whatever the background."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.demo.speech_labels import speech_of

RATE = 8000


def tone(seconds: float, loud: float = 0.3) -> np.ndarray:
    return (loud * np.sin(np.arange(int(seconds * RATE)) * 2 * np.pi * 440 / RATE)).astype(np.float32)


def test_speech_is_where_the_energy_is():
    quiet = np.zeros(RATE, np.float32)
    found = speech_of(np.concatenate([quiet, tone(1.0), quiet, tone(0.5)]), RATE)
    edges = [edge for each in found for edge in (each["start"], each["end"])]
    assert edges == pytest.approx([1.0, 2.0, 3.0, 3.5], abs=0.04)
    assert speech_of(quiet, RATE) == []
    assert speech_of(np.empty(0, np.float32), RATE) == []


def test_a_background_is_no_speech():
    quiet = np.zeros(RATE, np.float32)
    said = np.concatenate([quiet, tone(1.0), quiet, tone(0.5)])
    hum = 10 ** (-25 / 20) * 0.3 / np.sqrt(2) * np.random.default_rng(0).standard_normal(len(said)).astype(np.float32)
    edges = [edge for each in speech_of(said + hum, RATE) for edge in (each["start"], each["end"])]
    assert edges == pytest.approx([1.0, 2.0, 3.0, 3.5], abs=0.04)


def test_quiet_sounds_of_speech_without_a_pause_are_no_background():
    said = np.concatenate([tone(1.0), tone(1.0, 0.3 * 10 ** (-8 / 20))])
    assert [(each["start"], each["end"]) for each in speech_of(said, RATE)] == [(0.0, 2.0)]


def test_rumble_is_no_speech():
    quiet = np.zeros(RATE, np.float32)
    said = np.concatenate([quiet, tone(1.0), quiet, quiet])
    bump = (
        0.5 * np.sin(np.arange(RATE) * 2 * np.pi * 60 / RATE).astype(np.float32) * np.hanning(RATE).astype(np.float32)
    )
    said[-RATE:] += bump
    edges = [edge for each in speech_of(said, RATE) for edge in (each["start"], each["end"])]
    assert edges == pytest.approx([1.0, 2.0], abs=0.04)
