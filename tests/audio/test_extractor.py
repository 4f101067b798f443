"""Padded features against transformers' feature extractor, option by option."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from transformers import SeamlessM4TFeatureExtractor

from pipeline.audio import FeatureExtractor
from pipeline.errors import UserError


def waveforms_of(sizes: list[int]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [(random.standard_normal(size) * 0.1).astype(np.float32) for size in sizes]


# Odd and even numbers of frames; of two or three equal ones normalising would make their last digits large.
SIZES = st.lists(st.integers(2000, 9000), min_size=1, max_size=4)


@settings(max_examples=60, derandomize=True)
@given(
    SIZES,
    st.sampled_from([1, 2, 3, 8]),
    st.sampled_from([None, 6, 7, 40, 90]),
    st.booleans(),
    st.sampled_from([0.0, 1.5]),
    st.booleans(),
)
def test_features_and_mask_are_those_of_transformers(
    sizes: list[int], multiple: int, pad_to: int | None, truncate: bool, value: float, normalise: bool
) -> None:
    truncate &= pad_to is not None
    waveforms = waveforms_of(sizes)
    # Longer ones theirs leaves as they are, and then cannot join them.
    assume(pad_to is None or truncate or max(sizes) <= 240 + 160 * pad_to)
    theirs = SeamlessM4TFeatureExtractor(padding_value=value)(
        waveforms, padding="longest" if pad_to is None else "max_length", pad_to_multiple_of=multiple,
        max_length=pad_to, truncation=truncate, sampling_rate=16_000, return_tensors="np",
        do_normalize_per_mel_bins=normalise,
    )  # fmt: skip
    expected, mask = theirs["input_features"], theirs["attention_mask"].astype(bool)
    ours = FeatureExtractor(padding_value=value)(
        waveforms, sample_rate=16_000, pad_to=pad_to, multiple_of=multiple, truncate=truncate, normalise=normalise,
    )  # fmt: skip
    np.testing.assert_allclose(ours.features, expected, atol=2e-4)
    assert np.array_equal(ours.mask, mask)


def test_each_recording_is_as_if_alone() -> None:
    extractor = FeatureExtractor()
    waveforms = waveforms_of([3000, 8000, 100, 0])
    batch = extractor(waveforms, sample_rate=16_000)
    assert batch.lengths == (8, 24, 0, 0)
    for row, length, waveform in zip(batch.features, batch.lengths, waveforms, strict=True):
        alone = extractor([waveform], sample_rate=16_000).features[0]
        assert np.array_equal(row[:length], alone[:length])
        assert not row[length + 1 :].any()


@pytest.mark.parametrize("stride", [1, 3])
def test_another_stride_joins_as_many_frames(stride: int) -> None:
    (waveform,) = waveforms_of([4000])
    single = FeatureExtractor(stride=1)([waveform], sample_rate=16_000, multiple_of=1)
    batch = FeatureExtractor(stride=stride)([waveform], sample_rate=16_000, multiple_of=stride)
    assert batch.lengths == (23 // stride,)
    joined = single.features[0, : 23 // stride * stride].reshape(23 // stride, -1)
    assert np.array_equal(batch.features[0, : 23 // stride], joined)


@pytest.mark.parametrize(
    ("waveforms", "arguments", "message"),
    [
        ([np.zeros(800)], {"sample_rate": 8_000}, "sample_rate must be 16000, got 8000"),
        ([np.zeros((2, 800))], {"sample_rate": 16_000}, "must be mono"),
        ([np.zeros(800)], {"sample_rate": 16_000, "truncate": True}, "truncate needs pad_to"),
        ([np.zeros(800)], {"sample_rate": 16_000, "multiple_of": 0}, "multiple_of must be at least 1"),
        ([np.zeros(800)], {"sample_rate": 16_000, "pad_to": -1}, "pad_to at least 0"),
    ],
)
def test_what_would_give_other_features_is_refused(
    waveforms: list[np.ndarray], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureExtractor()(waveforms, **arguments)


def test_settings_are_read_and_written_as_transformers_has_them(tmp_path: Path) -> None:
    SeamlessM4TFeatureExtractor(padding_value=0.5).save_pretrained(tmp_path)
    ours = FeatureExtractor.load(tmp_path)
    assert (ours.stride, ours.padding_value) == (2, 0.5)
    (tmp_path / "saved").mkdir()
    ours.save(tmp_path / "saved")
    theirs = SeamlessM4TFeatureExtractor.from_pretrained(tmp_path / "saved")
    assert (theirs.stride, theirs.padding_value, theirs.num_mel_bins) == (2, 0.5, 80)
    again = FeatureExtractor.load(tmp_path / "saved")
    assert (again.stride, again.padding_value) == (2, 0.5)
    assert {**again.document, **ours.document} == again.document


def test_settings_inside_a_processor_are_found_and_none_are_the_defaults(tmp_path: Path) -> None:
    assert FeatureExtractor.load(tmp_path).stride == 2
    settings = {"feature_extractor_type": "SeamlessM4TFeatureExtractor", "stride": 1}
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert FeatureExtractor.load(tmp_path).stride == 1


def test_what_changes_no_features_is_kept_and_refused_by_none(tmp_path: Path) -> None:
    settings = {"feature_size": 1, "padding_side": "left", "processor_class": "Wav2Vec2BertProcessor"}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    FeatureExtractor.load(tmp_path).save(tmp_path)
    assert settings.items() <= json.loads((tmp_path / "preprocessor_config.json").read_text()).items()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"feature_extractor_type": "WhisperFeatureExtractor"}, "feature_extractor_type='WhisperFeatureExtractor'"),
        ({"sampling_rate": 8000}, "sampling_rate=8000; Voxmill computes 16000"),
        ({"num_mel_bins": 128}, "num_mel_bins=128; Voxmill computes 80"),
        ({"stride": 0}, "stride=0; it must be a whole number"),
        ({"padding_value": None}, "padding_value=None; it must be a number"),
    ],
)
def test_other_features_are_refused(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=message):
        FeatureExtractor.load(tmp_path)
