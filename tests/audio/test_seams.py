"""The quietest moment near a seam, as both of its spans find it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.seams import PAUSE, REACH, quietest


def loudness(num_frames: int, quiet: range, seed: int = 0) -> np.ndarray:
    """(2 T, 80) log-mel of speech with one pause."""
    frames = np.random.default_rng(seed).normal(10, 1, (2 * num_frames, 80))
    frames[2 * quiet.start : 2 * quiet.stop] -= 12
    return frames


def test_a_pause_near_the_seam_is_found():
    assert abs(quietest(loudness(400, range(180, 200)), 200) - 190) <= 6


def test_the_seam_is_the_middle_of_the_pause():
    assert quietest(loudness(400, range(190 - PAUSE // 2, 190 + PAUSE // 2 + 1)), 200) == 190


def test_a_pause_out_of_reach_is_not():
    assert abs(quietest(loudness(400, range(20, 40)), 200) - 200) <= REACH


@given(st.integers(0, 120), st.integers(150, 249), st.integers(0, 5))
def test_two_crops_that_overlap_find_the_same_moment(first, pause, seed):
    whole = loudness(500, range(pause, pause + 12), seed)
    assert quietest(whole, 200) == quietest(whole[2 * first :], 200 - first) + first


def test_too_little_audio_leaves_the_seam_where_it_is():
    assert quietest(np.zeros((2 * (PAUSE - 1), 80)), 3) == 3
