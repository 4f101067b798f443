"""Samples that are kept for a device, and the facts that are found beside them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.audio import Featurised, Sampled, decode, features_of_crops, num_stacked, of_one_kind, samples_of_crops
from pipeline.audio.samples import SampleStream, as_floats, fits_16_bits

Encode = Callable[..., bytes]
Babble = Callable[..., np.ndarray]

CROPS = [(0.0, None), (1.0, 3.0), (2.0, 4.5), (3.25, 5.0), (5.9, 6.0), (9.0, 10.0)]


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("context", [0, 2])
def test_facts_and_lengths_are_those_of_features(encode: Encode, babble: Babble, rate: int, context: int) -> None:
    data = encode(babble(6.0, rate), rate)
    sampled = samples_of_crops(data, CROPS, context=context)
    featurised = features_of_crops(data, CROPS, context=context, dtype="float64")
    assert any(isinstance(each, Sampled) for each in sampled)
    for ours, theirs in zip(sampled, featurised, strict=True):
        if isinstance(theirs, Featurised):
            assert isinstance(ours, Sampled)
            assert ours.facts == theirs.facts
            assert num_stacked(len(ours.samples)) == len(theirs.features)
        else:
            assert ours == theirs


def test_16_bit_audio_stays_so_and_what_is_resampled_does_not(encode: Encode, babble: Babble) -> None:
    for rate, dtype in ((16_000, np.int16), (44_100, np.float32)):
        data = encode(babble(2.0, rate), rate)
        (found,) = samples_of_crops(data, [(0.0, None)])
        assert isinstance(found, Sampled)
        assert found.samples.dtype == dtype
        assert np.array_equal(as_floats(found.samples), decode(data).samples)


def test_one_sample_that_16_bits_do_not_hold_makes_floats_of_all() -> None:
    stream, whole = SampleStream(), np.array([0, -1, 32767 / 2**15, 0.5], np.float32)
    stream.push(whole)
    stream.push(np.array([2.0**-16], np.float32))
    assert np.array_equal(stream.samples(), np.array([*whole, 2.0**-16], np.float32))


@pytest.mark.parametrize(("sample", "fits"), [(-1.0, True), (1.0, False), (-1.1, False), (3 * 2**-16, False)])
def test_what_16_bits_hold(sample: float, fits: bool) -> None:
    assert fits_16_bits(np.array([0.25, sample], np.float32)) == fits


def test_integers_among_floats_become_floats() -> None:
    whole, other = np.array([16384], np.int16), np.array([0.1], np.float32)
    assert of_one_kind([whole, whole])[0].dtype == np.int16
    assert [each.dtype for each in of_one_kind([whole, other])] == [np.float32, np.float32]
    assert of_one_kind([whole, other])[0][0] == 0.5
