"""Times of what was heard: from frames of a stretch to seconds of the recording, within the row's own audio."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tasks.heard import Heard


@pytest.mark.parametrize(
    ("heard", "frames", "times"),
    [
        (Heard(()), (7, 50), (0.14, 1.0)),
        (Heard((), offset=3599.0), (50, 57), (3600.0, 3600.14)),
        # A span with a second of context on both sides: nothing lies before or after its own frames.
        (Heard((), offset=9.0, own=(50, 150), own_end=12.0), (40, 170), (10.0, 12.0)),
        (Heard((), offset=9.0, own=(50, 150), own_end=12.0), (60, 70), (10.2, 10.4)),
        # The last frame reaches beyond the audio.
        (Heard((), audio_end=0.999), (40, 50), (0.8, 0.999)),
        (Heard((), audio_end=0.999, own_end=0.5), (10, 50), (0.2, 0.5)),
        (Heard((), audio_end=0.5), (30, 40), (0.5, 0.5)),
    ],
)
def test_times_are_the_rows_own(heard: Heard, frames: tuple[int, int], times: tuple[float, float]) -> None:
    assert heard.times(*frames) == times


def test_only_numbers_are_asked_to_be_finite() -> None:
    whole = np.array([1, 2], np.int32)
    assert Heard((whole, np.array([0.5, 1.0], np.float16))).finite
    assert not Heard((whole, np.array([0.5, np.inf], np.float16))).finite
    assert Heard((whole,)).finite
