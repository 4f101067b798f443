from __future__ import annotations

import numpy as np
import pytest
import soxr

from pipeline.audio.resample import Resampler


def stream(samples: np.ndarray, rate: int, block: int) -> np.ndarray:
    resampler = Resampler(rate)
    pieces = [resampler.push(samples[at : at + block]) for at in range(0, len(samples), block)]
    return np.concatenate([*pieces, resampler.flush()])


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 16000, 22050, 44100, 48000, 768000])
def test_blocks_change_nothing(rate: int) -> None:
    samples = np.random.default_rng(rate).standard_normal(rate + 13).astype(np.float32)
    whole = soxr.resample(samples, rate, 16000)
    for block in (997, 1 << 18):
        np.testing.assert_allclose(stream(samples, rate, block), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("num_samples", [0, 1, 2, 5])
def test_a_few_samples_are_defined(rate: int, num_samples: int) -> None:
    resampled = stream(np.ones(num_samples, dtype=np.float32), rate, 10)
    assert abs(len(resampled) - num_samples * 16000 / rate) <= 1
    assert np.isfinite(resampled).all()
