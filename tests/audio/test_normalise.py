from __future__ import annotations

import numpy as np
import pytest

from pipeline.audio.normalise import normalise_in_place, stack


@pytest.mark.parametrize("num_frames", [2, 3, 100, 4095, 4096, 4097, 10000])
def test_each_bin_gets_zero_mean_and_unit_variance(num_frames: int) -> None:
    random = np.random.default_rng(num_frames)
    frames = (random.standard_normal((num_frames, 80)) * 3 - 9).astype(np.float32)
    expected = (frames - frames.mean(0, dtype=np.float64)) / np.sqrt(frames.var(0, ddof=1, dtype=np.float64) + 1e-7)
    normalise_in_place(frames)
    np.testing.assert_allclose(frames, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("num_frames", [0, 1, 2, 50])
def test_constant_bins_become_zeros(num_frames: int) -> None:
    frames = np.full((num_frames, 80), np.float32(-15.942385))
    normalise_in_place(frames)
    np.testing.assert_array_equal(frames, np.zeros((num_frames, 80), np.float32))


@pytest.mark.parametrize(("num_frames", "num_stacked"), [(0, 0), (1, 0), (2, 1), (5, 2)])
def test_neighbours_are_stacked_and_an_odd_last_frame_left_out(num_frames: int, num_stacked: int) -> None:
    frames = np.arange(num_frames * 80, dtype=np.float32).reshape(num_frames, 80)
    stacked = stack(frames)
    assert stacked.shape == (num_stacked, 160)
    np.testing.assert_array_equal(stacked.ravel(), np.arange(num_stacked * 160))


def test_stacking_copies_nothing() -> None:
    frames = np.zeros((9, 80), dtype=np.float32)
    assert np.shares_memory(stack(frames), frames)
