from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import soxr

from pipeline.audio import Featurised, decode, fbank, features_of_crops
from pipeline.audio.crops import crop_of
from pipeline.audio.fbank import FrameStream, log_mel
from pipeline.audio.reader import Reader
from pipeline.audio.sweep import sweep
from pipeline.errors import ErrorRow

Encode = Callable[..., bytes]
Babble = Callable[..., np.ndarray]


def whole(data: bytes, **options: Any) -> Featurised:
    (result,) = features_of_crops(data, [(0.0, None)], **options)
    assert isinstance(result, Featurised)
    return result


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_give_the_features_of_the_whole(encode: Encode, babble: Babble, rate: int, channels: int) -> None:
    samples = np.stack([babble(4.0, rate, seed) for seed in range(channels)], axis=1)
    data = encode(samples, rate, "wav-float")
    mono = samples.mean(axis=1)
    expected = fbank(mono if rate == 16000 else soxr.resample(mono, rate, 16000))
    for block in (977, 16000, 1 << 18):
        np.testing.assert_allclose(whole(data, block=block).features, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("block", [977, 16000, 1 << 18])
def test_what_cancels_does_not_depend_on_blocks(encode: Encode, babble: Babble, block: int) -> None:
    voice = babble(4.0, 44100)
    right = np.where(np.arange(len(voice)) < 44100, voice, -voice)
    mixed = whole(encode(np.stack([voice, right], axis=1), 44100, "wav-float"), block=block)
    picked = whole(encode(np.stack([voice, -voice], axis=1), 44100, "wav-float"), block=block)
    assert [len(each.facts.warnings) for each in (mixed, picked)] == [0, 1]
    expected = whole(encode(voice, 44100, "wav-float")).features
    np.testing.assert_allclose(picked.features, expected, atol=1e-5, rtol=0)


def test_float64_is_passed_on(encode: Encode, clip: np.ndarray) -> None:
    data = encode(clip)
    ours = whole(data, dtype="float64").features
    np.testing.assert_allclose(ours, fbank(decode(data).samples, dtype="float64"), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("rate", "channels"), [(16000, 2), (44100, 1), (44100, 2), (48000, 1), (48000, 2)])
def test_a_copy_in_another_form_has_nearly_the_features_of_the_original(
    encode: Encode, clip: np.ndarray, rate: int, channels: int
) -> None:
    copy = clip if rate == 16000 else soxr.resample(clip, 16000, rate, quality="VHQ")
    original = whole(encode(clip, codec="wav-float"))
    other = whole(encode(np.stack([copy] * channels, axis=1), rate, "wav-float"))
    assert (other.facts.sample_rate, other.facts.channels) == (rate, channels)
    assert abs(other.facts.duration - original.facts.duration) <= 1 / rate
    below_7_khz = np.r_[0:74, 80:154]
    difference = np.abs(other.features - original.features)[:, below_7_khz]
    assert difference.max() < 0.05
    assert difference.mean() < 0.001


def test_each_crop_is_normalised_over_itself_and_equals_the_crop_alone(encode: Encode, babble: Babble) -> None:
    samples = babble(9.0)
    data = encode(samples, codec="wav-float")
    asked = [(6.0, None), (0.5, 2.25), (0.0, 9.0), (2.0, 3.0)]
    for (start, end), got in zip(asked, features_of_crops(data, asked), strict=True):
        stretch = samples[round(start * 16000) : None if end is None else round(end * 16000)]
        assert isinstance(got, Featurised)
        np.testing.assert_allclose(got.features, fbank(stretch), atol=1e-5, rtol=0)
        assert (got.facts.start, got.facts.duration) == (start, len(stretch) / 16000)
        assert (got.facts.first_frame, got.facts.stop_frame) == (0, len(got.features))


def test_a_crop_that_is_not_there_does_not_take_its_neighbours_with_it(encode: Encode, babble: Babble) -> None:
    first, second, third = features_of_crops(encode(babble(2.0)), [(0.0, 1.0), (5.0, 6.0), (1.0, None)])
    assert isinstance(first, Featurised)
    assert isinstance(third, Featurised)
    assert second == ErrorRow("decode", "empty", "nothing at 5.000 s: the recording ends at 2.000 s")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
@pytest.mark.parametrize("codec", ["wav-float", "flac"])
def test_spans_with_context_have_the_frames_of_the_whole_recording(
    encode: Encode, babble: Babble, rate: int, codec: str
) -> None:
    samples = babble(11.7, rate)
    data = encode(samples, rate, codec)
    expected = log_mel(decode(data).samples)
    pieces = []
    for start, end in pairwise([0, 4, 7, None]):
        span = crop_of(float(start or 0), end, context=1, sample_rate=rate)
        with Reader(io.BytesIO(data)) as reader:
            heard = sweep(reader, [span], FrameStream)[0]
        frames = heard.sink.frames()
        stop = span.stop_frame(rate, num_samples=heard.num_samples, num_frames=len(frames) // 2)
        pieces.append(frames[2 * span.first_frame(rate) : 2 * stop])
    joined = np.concatenate(pieces)
    assert len(joined) == len(expected) // 2 * 2
    # Power below 1 is rounding noise: of quiet samples, and in bands above what the source can hold.
    audible = expected[: len(joined)] > 0
    tolerance = 1e-5 if rate == 16000 else 0.03
    assert audible.mean() > 0.4
    np.testing.assert_allclose(joined[audible], expected[: len(joined)][audible], atol=tolerance, rtol=0)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_a_span_on_a_whole_second_has_the_samples_of_the_whole_recording(
    encode: Encode, babble: Babble, rate: int
) -> None:
    data = encode(babble(6.3, rate), rate)
    whole_samples, span_samples = decode(data).samples, decode(data, start=2.0, end=5.0).samples
    context = 16000
    np.testing.assert_allclose(
        span_samples[context:-context], whole_samples[2 * 16000 :][: len(span_samples)][context:-context], atol=1e-6
    )


def test_facts_of_a_span_say_where_its_own_frames_lie(encode: Encode, babble: Babble) -> None:
    data = encode(babble(11.7, 44100), 44100)
    first, middle, last = (
        features_of_crops(io.BytesIO(data), [stretch], context=2)[0]
        for stretch in ((0.0, 4.0), (4.0, 8.0), (8.0, None))
    )
    assert (first.facts.first_frame, first.facts.stop_frame) == (0, 200)
    assert (middle.facts.first_frame, middle.facts.stop_frame) == (100, 300)
    assert (last.facts.first_frame, last.facts.stop_frame) == (100, len(last.features))
    assert [each.facts.start for each in (first, middle, last)] == [0.0, 4.0, 8.0]
    assert sum(each.facts.duration for each in (first, middle, last)) == 11.7


@pytest.mark.parametrize("num_samples", [1, 2, 399, 400, 559, 560])
def test_less_than_a_frame_has_no_features_a_warning_and_no_error(encode: Encode, num_samples: int) -> None:
    result = whole(encode(np.full(num_samples, 0.1, dtype=np.float32)))
    assert result.features.shape == (int(num_samples == 560), 160)
    assert result.facts.duration == num_samples / 16000
    short = f"too short to hear a word: {num_samples / 16:.1f} ms, where a frame takes 35 ms"
    assert result.facts.warnings == ((short,) if num_samples < 560 else ())


def test_one_sample_at_48_khz_is_defined(encode: Encode) -> None:
    result = whole(encode(np.ones(1, dtype=np.float32), 48000))
    assert (result.features.shape, result.facts.duration) == ((0, 160), 1 / 48000)


@pytest.mark.parametrize("codec", ["wav", "flac", "ogg", "mp3"])
def test_silence_is_finite(encode: Encode, codec: str) -> None:
    features = whole(encode(np.zeros((20000, 2), dtype=np.float32), codec=codec)).features
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 1e-3


def test_a_float_file_full_of_nonsense_is_finite(encode: Encode) -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**32, (16000, 2), dtype=np.uint32)
    result = whole(encode(bits.view(np.float32), codec="wav-float"))
    assert np.isfinite(result.features).all()
    assert "samples are not numbers" in result.facts.warnings[-1]


def test_a_truncated_file_keeps_its_features(encode: Encode, babble: Babble) -> None:
    data = encode(babble(10.0))
    result = whole(data[: len(data) // 2])
    assert result.facts.warnings == ("truncated: 5.00 s decode of 10.00 s declared",)
    assert len(result.features) == 249


_PEAK = """
import io, resource, sys
import numpy as np
from pipeline.audio import features_of_crops

class Endless(io.RawIOBase):
    '''A WAV of so many seconds whose samples are made while they are read.'''
    def __init__(self, seconds):
        size = seconds * 48000 * 4
        self.header = (b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
            + bytes([1, 0, 2, 0]) + (48000).to_bytes(4, "little") + (192000).to_bytes(4, "little")
            + bytes([4, 0, 16, 0]) + b"data" + size.to_bytes(4, "little"))
        noise = np.random.default_rng(0).integers(-3000, 3000, 1 << 19, dtype=np.int16).tobytes()
        self.pattern, self.size, self.at = noise + noise, size + 44, 0
    def readinto(self, buffer):
        if self.at < 44:
            piece = self.header[self.at : self.at + len(buffer)]
        else:
            start = (self.at - 44) % (1 << 20)
            piece = self.pattern[start : start + min(len(buffer), 1 << 20, self.size - self.at)]
        buffer[: len(piece)] = piece
        self.at += len(piece)
        return len(piece)
    def seek(self, offset, whence=0):
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at
    def tell(self):
        return self.at

features_of_crops(Endless(60), [(0.0, None)])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(result,) = features_of_crops(Endless(int(sys.argv[1])), [(0.0, None)])
assert result.facts.duration == float(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, result.features.nbytes / 2**20)
"""


@pytest.mark.slow
def test_memory_grows_with_the_frames_and_with_nothing_else() -> None:
    command = [sys.executable, "-c", _PEAK]
    outputs = [
        subprocess.run([*command, str(minutes * 60)], capture_output=True, text=True, check=True).stdout
        for minutes in (20, 60)
    ]
    (one, frames_of_one), (two, frames_of_two) = (map(float, output.split()) for output in outputs)
    assert one < frames_of_one + 50
    assert two - one < frames_of_two - frames_of_one + 30
