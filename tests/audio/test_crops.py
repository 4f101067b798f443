from __future__ import annotations

import pytest

from pipeline.audio.crops import Crop, crop_of


def test_a_crop_between_samples_is_rounded_to_the_nearest() -> None:
    assert crop_of(0.10004, 0.20006, context=0, sample_rate=10000) == Crop(1000, 1000, 2001, 2001)


@pytest.mark.parametrize(("start", "begin"), [(0.0, 0.0), (1.0, 0.0), (1.5, 0.5), (2.0, 0.0), (7.0, 5.0)])
def test_context_is_whole_seconds_that_exist(start: float, begin: float) -> None:
    crop = crop_of(start, start + 1, context=2, sample_rate=22050)
    assert (crop.begin, crop.start) == (round(begin * 22050), round(start * 22050))
    assert crop.first_frame(22050) == (start - begin) * 50
    assert crop.stop == round((start + 3) * 22050)


def test_an_open_end_stays_open() -> None:
    crop = crop_of(3.0, None, context=2, sample_rate=8000)
    assert (crop.end, crop.stop) == (None, None)
    assert crop.stop_frame(8000, num_samples=80000, num_frames=499) == 499


def test_a_negative_start_is_the_start() -> None:
    assert crop_of(-0.5, 1.0, context=2, sample_rate=8000).begin == 0


def test_frames_of_the_context_behind_are_not_the_crops() -> None:
    crop = crop_of(10.0, 20.0, context=2, sample_rate=44100)
    assert crop.stop_frame(44100, num_samples=14 * 44100, num_frames=699) == (2 + 10) * 50


def test_a_recording_that_ends_in_the_crop_gives_all_its_frames() -> None:
    crop = crop_of(10.0, 20.0, context=2, sample_rate=44100)
    assert crop.stop_frame(44100, num_samples=9 * 44100, num_frames=449) == 449
