from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.audio import constants
from pipeline.audio.crops import Crop
from pipeline.audio.reader import Reader
from pipeline.audio.sweep import sweep
from pipeline.errors import RecordingError

Encode = Callable[..., bytes]
Babble = Callable[..., np.ndarray]


class Collected:
    def __init__(self) -> None:
        self.pieces: list[np.ndarray] = [np.empty(0, dtype=np.float32)]

    def push(self, samples: np.ndarray, /) -> None:
        self.pieces.append(samples.copy())

    def samples(self) -> np.ndarray:
        return np.concatenate(self.pieces)


class Counting(io.BytesIO):
    """Counts the bytes that were read."""

    num_bytes = 0

    def readinto(self, buffer: Any) -> int:
        num = super().readinto(buffer)
        self.num_bytes += num
        return num


@pytest.fixture(scope="module")
def ramp() -> np.ndarray:
    return ((np.arange(64000) - 32000) / 32768).astype(np.float32)


@pytest.fixture(scope="module")
def ramp_wav(encode: Encode, ramp: np.ndarray) -> bytes:
    return encode(ramp)


def crop(begin: int, stop: int | None) -> Crop:
    return Crop(begin, begin, stop, stop)


stretches = st.lists(
    st.tuples(st.integers(0, 70000), st.one_of(st.none(), st.integers(0, 70000))), min_size=1, max_size=6
)


@settings(max_examples=60, deadline=None)
@given(asked=stretches, block=st.integers(500, 70000))
def test_every_crop_gets_its_samples_in_any_order(
    ramp: np.ndarray, ramp_wav: bytes, asked: list[tuple[int, int | None]], block: int
) -> None:
    with Reader(ramp_wav) as reader:
        heard = sweep(reader, [crop(*each) for each in asked], Collected, block=block)
    for (begin, stop), got in zip(asked, heard, strict=True):
        np.testing.assert_array_equal(got.sink.samples(), ramp[begin:stop])
        assert got.num_samples == len(ramp[begin:stop])


def test_one_file_is_read_once_for_many_crops(ramp_wav: bytes) -> None:
    file = Counting(ramp_wav)
    with Reader(file) as reader:
        sweep(reader, [crop(begin, begin + 9000) for begin in range(0, 60000, 1000)], Collected)
    assert file.num_bytes < 1.1 * len(ramp_wav)


def test_the_end_is_looked_at_once_for_many_crops(encode: Encode, babble: Babble) -> None:
    data = encode(babble(5.0), codec="flac")
    few, many = Counting(data), Counting(data)
    for file, number in ((few, 1), (many, 100)):
        with Reader(file) as reader:
            sweep(reader, [crop(0, 90_000)] * number, Collected)
    assert many.num_bytes == few.num_bytes


def test_a_long_gap_is_skipped(encode: Encode) -> None:
    data = encode(np.zeros(16000 * 600, dtype=np.float32))
    file = Counting(data)
    with Reader(file) as reader:
        heard = sweep(reader, [crop(16000 * 590, None), crop(16000, 32000)], Collected)
    assert [each.num_samples for each in heard] == [160000, 16000]
    assert file.num_bytes < 0.15 * len(data)


def test_only_the_crop_that_cancels_is_heard_again(encode: Encode, ramp: np.ndarray) -> None:
    right = ramp.copy()
    right[32000:] *= -1
    data = encode(np.stack([ramp, right], axis=1))
    with Reader(data) as reader:
        heard = sweep(reader, [crop(0, 32000), crop(32000, 64000)], Collected, block=1000)
    np.testing.assert_array_equal(heard[0].sink.samples(), ramp[:32000])
    np.testing.assert_array_equal(heard[1].sink.samples(), ramp[32000:])
    assert [len(each.warnings) for each in heard] == [0, 1]


def test_only_the_crop_at_the_cut_is_called_truncated(ramp_wav: bytes) -> None:
    with Reader(ramp_wav[: len(ramp_wav) // 2]) as reader:
        heard = sweep(reader, [crop(0, 10000), crop(20000, 50000), crop(0, None)], Collected)
    assert [[w.split(":")[0] for w in each.warnings] for each in heard] == [[], ["truncated"], ["truncated"]]


def test_damage_behind_a_crop_in_the_same_block_is_not_the_crops(encode: Encode, babble: Babble) -> None:
    data = encode(babble(10.0), codec="flac")
    with Reader(data[: len(data) // 2]) as reader:
        heard = sweep(reader, [crop(0, 10000), crop(0, None)], Collected)
    assert heard[0].num_samples == 10000
    assert [len(each.warnings) for each in heard] == [0, 1]


def test_nonsense_counts_for_the_crops_that_hold_it(encode: Encode, ramp: np.ndarray) -> None:
    samples = ramp.copy()
    samples[5000:5003] = np.nan
    with Reader(encode(samples, codec="wav-float")) as reader:
        heard = sweep(reader, [crop(0, 5001), crop(5001, 9000), crop(6000, 9000)], Collected)
    assert [each.warnings[0][:9] if each.warnings else "" for each in heard] == ["1 samples", "2 samples", ""]


def test_more_than_a_day_in_one_piece_is_refused(ramp_wav: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "MAX_SECONDS", 3.0)
    with Reader(ramp_wav) as reader, pytest.raises(RecordingError, match="in one piece") as caught:
        sweep(reader, [crop(0, None)], Collected, block=1000)
    assert caught.value.error.type == "too_long"


@pytest.mark.parametrize(("gap", "sought"), [(0, False), (20, False), (21, True)])
def test_long_gaps_are_sought_over_and_short_ones_decoded(
    encode: Encode, monkeypatch: pytest.MonkeyPatch, gap: int, sought: bool
) -> None:
    seeks: list[int] = []
    with Reader(encode(np.zeros(8000 * 25, dtype=np.float32), 8000)) as reader:
        monkeypatch.setattr(reader, "seek", lambda frame: seeks.append(frame) or Reader.seek(reader, frame))
        begin = (1 + gap) * 8000
        first, second = sweep(reader, [crop(0, 8000), crop(begin, begin + 8000)], Collected, block=8000)
    assert (first.num_samples, second.num_samples) == (8000, 8000)
    assert seeks == ([begin] if sought else [])
