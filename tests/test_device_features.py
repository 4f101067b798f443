"""Features made by PyTorch against those made by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from pipeline.audio.fbank import fbank, log_mel
from pipeline.device_features import fbank_on
from pipeline.models import fbank as fbank_module
from tests import speech as place


@pytest.fixture(scope="module")
def recordings(speech) -> list[np.ndarray]:
    """LibriSpeech, 16 kHz, as 16-bit integers."""
    paths = sorted((place.FOLDER / "librispeech").rglob("*.flac"))[:12]
    assert len(paths) == 12
    return [soundfile.read(path, dtype="int16")[0] for path in paths]


def test_log_mel_of_speech_agrees(recordings):
    device = fbank_on("cpu")
    for samples in recordings:
        exact = log_mel(samples.astype(np.float32) / 2**15, dtype=np.float64)
        ours = device.log_mel(torch.from_numpy(samples)).numpy()
        assert np.abs(ours - exact).max() <= 0.03


def test_features_of_speech_agree(recordings):
    device = fbank_on("cpu")
    for samples in recordings:
        exact = fbank(samples.astype(np.float32) / 2**15, dtype=np.float64)
        ours = device(torch.from_numpy(samples)).numpy()
        assert ours.shape == exact.shape
        assert np.abs(ours - exact).max() <= 0.02


def test_samples_within_one_are_the_same_as_integers(recordings):
    device = fbank_on("cpu")
    samples = torch.from_numpy(recordings[0])
    assert torch.equal(device(samples), device(samples.float() / 2**15))


@pytest.mark.parametrize("size", [0, 1, 399, 400, 559, 560, 720, 881])
def test_short_and_odd_lengths_are_defined(size):
    samples = np.random.default_rng(0).integers(-3000, 3000, size, dtype=np.int16)
    expected = fbank(samples.astype(np.float32) / 2**15, dtype=np.float64)
    ours = fbank_on("cpu")(torch.from_numpy(samples))
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours.numpy(), expected, atol=5e-3)


def test_blocks_of_a_long_recording_are_as_one(monkeypatch):
    samples = torch.from_numpy(np.random.default_rng(0).integers(-3000, 3000, 60_000, dtype=np.int16))
    whole = fbank_on("cpu")(samples)
    monkeypatch.setattr(fbank_module, "_BLOCK", 7)
    torch.testing.assert_close(fbank_on("cpu")(samples), whole, rtol=0, atol=1e-4)


def test_silence_is_finite():
    assert fbank_on("cpu")(torch.zeros(16_000, dtype=torch.int16)).abs().max() == 0
