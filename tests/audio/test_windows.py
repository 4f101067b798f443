from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.windows import Window, cut, join

SIZES = st.integers(0, 40).flatmap(lambda context: st.tuples(st.integers(2 * context + 1, 200), st.just(context)))


def smear(frames: np.ndarray, reach: int) -> np.ndarray:
    """A model that hears `reach` frames on each side, weighting every one differently."""
    weights = np.random.default_rng(reach).standard_normal(2 * reach + 1)
    padded = np.pad(frames, ((reach, reach), (0, 0)))
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return np.tanh(views @ weights)


@given(num_frames=st.integers(0, 3000), sizes=SIZES)
def test_kept_parts_meet_and_cover_everything(num_frames: int, sizes: tuple[int, int]) -> None:
    windows = cut(num_frames, window=sizes[0], context=sizes[1])
    kept = [frame for each in windows for frame in range(each.keep_start, each.keep_stop)]
    assert kept == list(range(num_frames))


@given(num_frames=st.integers(1, 3000), sizes=SIZES)
def test_every_kept_frame_has_its_context(num_frames: int, sizes: tuple[int, int]) -> None:
    window, context = sizes
    for each in cut(num_frames, window=window, context=context):
        assert 0 <= each.start <= max(0, each.keep_start - context)
        assert min(num_frames, each.keep_stop + context) <= each.stop <= num_frames
        assert 0 < each.stop - each.start <= window
        assert each.keep_start < each.keep_stop


@given(num_frames=st.integers(1, 3000), sizes=SIZES)
def test_windows_are_equally_long_and_no_more_than_needed(num_frames: int, sizes: tuple[int, int]) -> None:
    window, context = sizes
    windows = cut(num_frames, window=window, context=context)
    lengths = {each.stop - each.start for each in windows}
    assert max(lengths) - min(lengths) <= 1
    most_kept = window + (len(windows) - 2) * (window - 2 * context) + window - 2 * context
    fewer = most_kept - (window - 2 * context)
    assert len(windows) == 1 or fewer < num_frames <= most_kept


@given(num_frames=st.integers(1, 600), sizes=SIZES)
def test_stitching_is_exact_while_the_model_hears_no_further_than_the_context(
    num_frames: int, sizes: tuple[int, int]
) -> None:
    window, context = sizes
    frames = np.random.default_rng(num_frames).standard_normal((num_frames, 3))
    windows = cut(num_frames, window=window, context=context)
    stitched = join(windows, [smear(frames[each.start : each.stop], context) for each in windows])
    np.testing.assert_allclose(stitched, smear(frames, context), atol=1e-6, rtol=0)


def test_stitching_shows_a_context_that_is_too_short() -> None:
    frames = np.random.default_rng(0).standard_normal((500, 3))
    windows = cut(500, window=100, context=10)
    stitched = join(windows, [smear(frames[each.start : each.stop], 12) for each in windows])
    assert np.abs(stitched - smear(frames, 12)).max() > 1e-3


def test_what_fits_is_one_window() -> None:
    assert cut(100, window=100, context=20) == (Window(0, 100, 0, 100),)


def test_one_frame_more_is_two_even_windows() -> None:
    assert cut(101, window=100, context=20) == (Window(0, 70, 0, 50), Window(30, 101, 50, 101))


def test_no_frames_give_no_windows() -> None:
    assert cut(0, window=100, context=20) == ()


@pytest.mark.parametrize(("window", "context"), [(40, 20), (10, 20), (0, 0), (10, -1)])
def test_a_context_that_leaves_nothing_is_refused(window: int, context: int) -> None:
    with pytest.raises(ValueError, match=f"more than twice.*window={window}, context={context}"):
        cut(100, window=window, context=context)


def test_an_output_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold 100 rows.*got 99"):
        join(cut(100, window=100, context=20), [np.zeros((99, 2))])


def test_join_keeps_dtype_and_shape() -> None:
    windows = cut(250, window=100, context=20)
    joined = join(windows, [np.zeros((each.stop - each.start, 7, 2), np.float16) for each in windows])
    assert (joined.shape, joined.dtype) == ((250, 7, 2), np.float16)
