"""Features made by PyTorch, of many recordings at once, against those made by NumPy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio.fbank import fbank, log_mel
from pipeline.device_features import fbank_on, features_on
from pipeline.models import fbank as fbank_module
from tests import speech as place


@pytest.fixture(scope="module")
def recordings(speech) -> list[np.ndarray]:
    """LibriSpeech, 16 kHz, as 16-bit integers."""
    paths = sorted((place.FOLDER / "librispeech").rglob("*.flac"))[:8]
    assert len(paths) == 8
    return [soundfile.read(path, dtype="int16")[0] for path in paths]


def noise(*sizes: int) -> list[np.ndarray]:
    return [np.random.default_rng(size).integers(-3000, 3000, size, dtype=np.int16) for size in sizes]


def by_numpy(recordings: Sequence[np.ndarray]) -> np.ndarray:
    """Features of each by itself, float64."""
    return np.concatenate([fbank(each.astype(np.float32) / 2**15, dtype=np.float64) for each in recordings])


def on_device(recordings: Sequence[np.ndarray]) -> np.ndarray:
    return features_on("cpu")(np.concatenate(recordings), [len(each) for each in recordings])


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-4), (torch.float32, 0.03)])
def test_log_mel_of_speech_agrees(recordings, dtype, bound):
    packed = torch.from_numpy(np.concatenate(recordings))
    ours = fbank_on("cpu", dtype).log_mel(packed, [len(each) for each in recordings]).numpy()
    exact = [log_mel(each.astype(np.float32) / 2**15, dtype=np.float64) for each in recordings]
    assert np.abs(ours - np.concatenate(exact)).max() <= bound


def test_features_of_speech_agree_each_normalised_by_itself(recordings):
    np.testing.assert_allclose(on_device(recordings), by_numpy(recordings), atol=1e-4, rtol=0)


def test_samples_within_one_are_the_same_as_integers(recordings):
    floats = [each.astype(np.float32) / 2**15 for each in recordings]
    assert np.array_equal(on_device(floats), on_device(recordings))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([0, 1, 399, 400, 559, 560, 719, 720, 881, 3000]), min_size=1, max_size=9))
def test_short_and_odd_lengths_in_any_order_are_defined(sizes):
    ours, theirs = on_device(noise(*sizes)), by_numpy(noise(*sizes))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_blocks_are_as_one(monkeypatch):
    recordings = noise(60_000, 500, 7_000, 0, 4_000)
    whole = on_device(recordings)
    monkeypatch.setattr(fbank_module, "_BLOCK", 7)
    np.testing.assert_allclose(on_device(recordings), whole, rtol=0, atol=1e-5)


def test_silence_is_finite():
    assert np.abs(on_device([np.zeros(16_000, np.int16)])).max() == 0


def test_what_cannot_be_written_to_is_taken():
    samples = noise(4_000)[0]
    samples.flags.writeable = False
    assert features_on("cpu")(samples, [4_000]).shape == (11, 160)
