from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from pipeline.audio import decode, load
from pipeline.errors import RecordingError

Encode = Callable[..., bytes]
Babble = Callable[..., np.ndarray]


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_samples_are_resampled_and_the_duration_is_the_sources(encode: Encode, babble: Babble, rate: int) -> None:
    samples = babble(2.5, rate)[:-7]
    decoded = decode(encode(samples, rate, "wav-float"))
    assert (decoded.sample_rate, decoded.channels, decoded.warnings) == (rate, 1, ())
    assert decoded.duration == len(samples) / rate
    np.testing.assert_allclose(decoded.samples, soxr.resample(samples, rate, 16000), atol=1e-6, rtol=0)


def test_load_takes_bytes_views_files_and_paths(encode: Encode, babble: Babble, tmp_path: Path) -> None:
    data = encode(babble(0.5), codec="flac")
    path = tmp_path / "a b#c%.flac"
    path.write_bytes(data)
    for given in (data, memoryview(b"xx" + data)[2:], io.BytesIO(data), path, str(path)):
        samples, rate = load(given)
        assert (samples.shape, samples.dtype, rate) == ((8000,), np.float32, 16000)


def test_load_of_no_file_says_which() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.wav"):
        load("nowhere.wav")


def test_a_stretch_starts_and_ends_at_the_nearest_samples(encode: Encode) -> None:
    ramp = (np.arange(16000) / 32768).astype(np.float32)
    decoded = decode(encode(ramp), start=0.10004, end=0.25)
    np.testing.assert_array_equal(decoded.samples, ramp[1601:4000])
    assert decoded.duration == 2399 / 16000


def test_an_end_behind_the_end_is_a_warning(encode: Encode, babble: Babble) -> None:
    decoded = decode(encode(babble(1.0)), start=0.5, end=3.0)
    assert decoded.duration == 0.5
    assert decoded.warnings == ("asked for audio up to 3.00 s, the recording ends at 1.00 s",)


def test_a_rounded_end_is_none(encode: Encode, babble: Babble) -> None:
    assert decode(encode(babble(1.0)), end=1.04).warnings == ()


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [
        (1.0, None, "nothing at 1.000 s: the recording ends at 1.000 s"),
        (500.0, 501.0, "nothing at 500.000 s: the recording ends at 1.000 s"),
        (0.5, 0.5, "no sample lies in 0.500 to 0.500 s"),
        (0.5, 0.2, "no sample lies in 0.500 to 0.200 s"),
    ],
)
def test_a_stretch_without_samples_is_empty(
    encode: Encode, babble: Babble, start: float, end: float | None, reason: str
) -> None:
    with pytest.raises(RecordingError, match=reason) as caught:
        decode(encode(babble(1.0)), start=start, end=end)
    assert (caught.value.error.stage, caught.value.error.type) == ("decode", "empty")


@pytest.mark.parametrize("codec", ["wav", "aiff", "au"])
def test_a_header_without_samples_is_empty(encode: Encode, codec: str) -> None:
    with pytest.raises(RecordingError, match="header and no samples") as caught:
        decode(encode(np.empty(0, dtype=np.float32), codec=codec))
    assert caught.value.error.type == "empty"


def test_a_promise_without_a_single_sample_does_not_decode(encode: Encode, babble: Babble) -> None:
    with pytest.raises(RecordingError, match="nothing decodes from 0.000 s on: flac decoder lost sync") as caught:
        decode(encode(babble(5.0), codec="flac")[:100])
    assert caught.value.error.type == "decode"


def test_numbers_that_are_none_become_silence(encode: Encode, babble: Babble) -> None:
    samples = babble(1.0)
    samples[[10, 20, 30, 40]] = [np.nan, np.inf, -np.inf, 3e38]
    decoded = decode(encode(samples, codec="wav-float"))
    np.testing.assert_array_equal(decoded.samples[[10, 20, 30, 40]], 0)
    assert decoded.samples[50] == samples[50]
    assert decoded.warnings == ("4 samples are not numbers or absurdly large: taken as 0",)


def test_channels_that_cancel_are_heard_one_by_one(encode: Encode, babble: Babble) -> None:
    samples = babble(2.0)
    decoded = decode(encode(np.stack([0.9 * samples, -samples, 0 * samples], axis=1)[:, :2], codec="wav-float"))
    assert decoded.warnings == ()
    decoded = decode(encode(np.stack([0.99 * samples, -samples], axis=1), codec="wav-float"))
    assert decoded.warnings == ("the channels cancel each other: channel 2 is heard",)
    np.testing.assert_array_equal(decoded.samples, -samples)
    assert decoded.channels == 2
