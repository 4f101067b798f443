"""Discriminants find the directions that tell classes, however loud the others are."""

from __future__ import annotations

import numpy as np

from pipeline.training import metrics
from pipeline.training.discriminant import discriminants


def test_the_direction_that_tells_classes_is_found_among_louder_ones() -> None:
    random = np.random.default_rng(0)
    classes = np.repeat(np.arange(10), 30)
    statistics = random.normal(0, 5, (300, 6))
    statistics[:, 4] = classes + random.normal(0, 0.1, 300)
    mean, projection = discriminants(statistics, classes, size=2)
    leading = projection[:, 0] / np.abs(projection[:, 0]).max()
    assert mean.shape == (6,)
    assert np.argmax(np.abs(leading)) == 4
    assert np.abs(np.delete(leading, 4)).max() < 0.1


def test_new_speakers_are_told_better_than_before() -> None:
    random = np.random.default_rng(1)
    mixing, loudness = random.normal(0, 1, (20, 20)), np.array([2.0] * 15 + [0.3] * 5)
    centres = random.normal(0, 1, (60, 20)) * np.array([0.0] * 15 + [1.0] * 5)
    classes = np.repeat(np.arange(60), 20)
    heard = (centres[classes] + random.normal(0, 1, (1200, 20)) * loudness) @ mixing
    known, others = classes < 40, classes >= 40
    mean, projection = discriminants(heard[known], classes[known], size=5)
    numbers = np.arange(others.sum())
    before = metrics.equal_error_rate_of_pairs(heard[others] - mean, classes[others], numbers)
    after = metrics.equal_error_rate_of_pairs((heard[others] - mean) @ projection, classes[others], numbers)
    assert before > 0.25
    assert after < before / 2
