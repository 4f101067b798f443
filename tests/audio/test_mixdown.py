from __future__ import annotations

import numpy as np
import pytest

from pipeline.audio.mixdown import Mixdown, Pick


def mix(block: np.ndarray, size: int = 1000) -> tuple[np.ndarray, int | None]:
    mixdown = Mixdown(block.shape[1])
    pieces = [mixdown.mono(block[at : at + size]).copy() for at in range(0, len(block), size)]
    return np.concatenate(pieces), mixdown.louder()


@pytest.fixture
def voice() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)


def test_two_equal_channels_are_the_mono_one(voice: np.ndarray) -> None:
    mono, louder = mix(np.stack([voice, voice], axis=1))
    np.testing.assert_array_equal(mono, voice)
    assert louder is None


@pytest.mark.parametrize("weaker", [0.95, 1.0])
def test_opposite_channels_fall_back_to_the_louder(voice: np.ndarray, weaker: float) -> None:
    block = np.stack([-weaker * voice, voice], axis=1).astype(np.float32)
    assert mix(block)[1] == (1 if weaker < 1 else 0)


def test_a_constant_does_not_hide_the_cancelling(voice: np.ndarray) -> None:
    block = np.stack([voice + 0.5, 0.5 - voice], axis=1).astype(np.float32)
    assert mix(block)[1] is not None


@pytest.mark.parametrize("channels", [2, 6, 128])
def test_unrelated_channels_do_not_cancel(channels: int) -> None:
    block = np.random.default_rng(1).standard_normal((20000, channels)).astype(np.float32)
    assert mix(block)[1] is None


@pytest.mark.parametrize("channels", [2, 128])
def test_one_voice_among_silent_channels_is_no_cancelling(voice: np.ndarray, channels: int) -> None:
    block = np.zeros((len(voice), channels), dtype=np.float32)
    block[:, 1] = voice
    assert mix(block)[1] is None


def test_silence_does_not_cancel() -> None:
    assert mix(np.zeros((100, 2), dtype=np.float32))[1] is None


def test_nothing_heard_does_not_cancel() -> None:
    assert Mixdown(2).louder() is None


def test_a_passage_that_cancels_does_not_decide_for_the_whole(voice: np.ndarray) -> None:
    block = np.stack([voice, voice], axis=1)
    block[:8000, 1] *= -1
    assert mix(block, 500)[1] is None


def test_a_picked_channel_is_that_channel(voice: np.ndarray) -> None:
    block = np.stack([voice, 2 * voice], axis=1)
    np.testing.assert_array_equal(Pick(1).mono(block), 2 * voice)
    assert Pick(1).mono(block).flags.c_contiguous
