from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import SeamlessM4TFeatureExtractor

import pipeline.audio
from pipeline.audio import fbank
from pipeline.audio.fbank import FrameStream, log_mel, mel_filters, num_frames


@pytest.fixture(scope="module")
def reference() -> SeamlessM4TFeatureExtractor:
    return SeamlessM4TFeatureExtractor()


@pytest.fixture(scope="module")
def digits(speech: Path) -> list[np.ndarray]:
    """Recordings made at 8 kHz, resampled once for both sides."""
    with (speech / "digits.csv").open() as file:
        paths = [row["path"] for row in csv.DictReader(file)][::75]
    read = [soundfile.read(speech / path, dtype="float32") for path in paths]
    assert {rate for _, rate in read} == {8000}
    return [soxr.resample(samples, rate, 16000) for samples, rate in read]


def largest_difference(reference: SeamlessM4TFeatureExtractor, recordings: list[np.ndarray], dtype: str) -> float:
    pairs = [(reference._extract_fbank_features(each), log_mel(each, dtype=dtype)) for each in recordings]
    return max(float(np.abs(theirs - ours).max()) for theirs, ours in pairs)


def test_mel_filters_are_the_references(reference: SeamlessM4TFeatureExtractor) -> None:
    np.testing.assert_allclose(mel_filters(), reference.mel_filters, atol=1e-12, rtol=0)


def test_log_mel_of_16_khz_speech_agrees(reference: SeamlessM4TFeatureExtractor, clips: list[np.ndarray]) -> None:
    assert largest_difference(reference, clips, "float32") <= 0.03


def test_float64_agrees_everywhere(
    reference: SeamlessM4TFeatureExtractor, clips: list[np.ndarray], digits: list[np.ndarray]
) -> None:
    assert largest_difference(reference, [*clips, *digits], "float64") <= 1e-4


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.5), (1e-3, 0.9), (1.0, -1000.0), (1e-3, 10.0)])
def test_a_constant_part_costs_no_precision(
    reference: SeamlessM4TFeatureExtractor, clip: np.ndarray, scale: float, offset: float
) -> None:
    lifted = (scale * clip + offset).astype(np.float32)
    assert largest_difference(reference, [lifted], "float32") <= 0.03
    assert largest_difference(reference, [lifted], "float64") <= 1e-4


def test_a_pure_tone_and_a_click_agree(reference: SeamlessM4TFeatureExtractor) -> None:
    tone = np.sin(2 * np.pi * 440 / 16000 * np.arange(16000, dtype=np.float32))
    click = np.zeros(16000, dtype=np.float32)
    click[[0, 159, 160, 8000]] = 1, 1, -1, 1  # the first sample of a frame, and its neighbour in the frame before
    for samples in (tone, click):
        assert largest_difference(reference, [samples], "float32") <= 0.05
        assert largest_difference(reference, [samples], "float64") <= 1e-4


@pytest.mark.parametrize("num_frames", [127, 128, 129, 256, 257])
def test_frames_agree_where_blocks_meet(
    reference: SeamlessM4TFeatureExtractor, clips: list[np.ndarray], num_frames: int
) -> None:
    samples = np.concatenate(clips)[: 400 + 160 * (num_frames - 1)]
    for length in (len(samples) - 1, len(samples)):
        assert largest_difference(reference, [samples[:length]], "float64") <= 1e-4


def test_features_agree_to_the_last_frame_that_the_mask_keeps(
    reference: SeamlessM4TFeatureExtractor, clip: np.ndarray
) -> None:
    for num_samples in (560, 720, 880, 16000, 16160, 16000 + 159, len(clip)):
        theirs = reference(clip[:num_samples], sampling_rate=16000, return_tensors="np")
        kept = theirs["input_features"][0][theirs["attention_mask"][0].astype(bool)]
        ours = fbank(clip[:num_samples], dtype="float64")
        assert ours.shape == kept.shape
        np.testing.assert_allclose(ours, kept, atol=1e-3, rtol=0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_frame_is_what_the_reference_masks(reference: SeamlessM4TFeatureExtractor, clip: np.ndarray) -> None:
    theirs = reference(clip[:400], sampling_rate=16000, return_tensors="np")
    assert theirs["attention_mask"].sum() == 0
    assert fbank(clip[:400]).shape == (0, 160)


@pytest.mark.parametrize("num_samples", [0, 1, 2, 399, 400, 401, 559, 560, 561, 1119, 1120])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_short_input_is_defined(num_samples: int, dtype: str) -> None:
    samples = np.linspace(-0.5, 0.5, num_samples, dtype=np.float32)
    features = fbank(samples, dtype=dtype)
    assert features.shape == (num_frames(num_samples) // 2, 160)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()


@pytest.mark.parametrize("level", [0.0, 1e-30, 0.5, 1.0, 2.0**24])
def test_a_constant_is_as_silent_as_silence(level: float) -> None:
    frames = log_mel(np.full(4000, level, dtype=np.float32))
    np.testing.assert_array_equal(frames, np.full((23, 80), np.log(np.float32(2.0**-23))))


def test_the_loudest_noise_stays_finite() -> None:
    noise = np.where(np.arange(16000) % 7 < 3, 2.0**24, -(2.0**24)).astype(np.float32)
    assert np.isfinite(fbank(noise)).all()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 50_000), max_size=8), dtype=st.sampled_from(["float32", "float64"]))
def test_a_stream_gives_the_same_frames_however_it_is_cut(cuts: list[int], dtype: str) -> None:
    samples = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    stream = FrameStream(dtype)
    for piece in np.split(samples, sorted(cuts)):
        stream.push(piece)
    np.testing.assert_allclose(stream.frames(), log_mel(samples, dtype=dtype), atol=1e-5, rtol=0)


def test_what_is_pushed_may_be_overwritten() -> None:
    buffer, stream = np.ones(500, dtype=np.float32), FrameStream()
    ramp = np.arange(1000, dtype=np.float32) / 1000
    for half in (ramp[:500], ramp[500:]):
        buffer[:] = half
        stream.push(buffer)
    np.testing.assert_allclose(stream.frames(), log_mel(ramp), atol=1e-5, rtol=0)


def test_the_door_is_the_function_not_its_module() -> None:
    assert pipeline.audio.fbank is fbank


def test_audio_needs_neither_torch_nor_ray_nor_storage() -> None:
    script = "import sys, pipeline.audio; print(sorted({'torch', 'ray', 'fsspec', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
