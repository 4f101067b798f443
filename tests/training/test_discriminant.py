"""Discriminants find the directions that tell classes, however loud the others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.training import discriminant, metrics
from pipeline.training.discriminant import discriminants
from tests.training.conftest import Train


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
    mean, projection = discriminants(heard[known], classes[known], size=5, shrinkage=0.1)
    numbers = np.arange(others.sum())
    before = metrics.equal_error_rate_of_pairs(heard[others] - mean, classes[others], numbers)
    after = metrics.equal_error_rate_of_pairs((heard[others] - mean) @ projection, classes[others], numbers)
    assert before > 0.25
    assert after < before / 2


@pytest.mark.parametrize(("examples", "of_each", "enough"), [(5, 1, 5), (5, 4, 8), (20, 1, 20)])
def test_so_many_examples_are_looked_at_and_no_more(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, examples: int, of_each: int, enough: int
) -> None:
    seen: list[int] = []

    def counting(statistics: Any, classes: Any, *, size: int) -> Any:
        seen.append(len(statistics))
        return discriminants(statistics, classes, size=size)

    monkeypatch.setattr(discriminant, "EXAMPLES", examples)
    monkeypatch.setattr(discriminant, "OF_EACH", of_each)
    monkeypatch.setattr(discriminant, "discriminants", counting)
    given: dict[str, Any] = {"longest": "0.5s", "segment_from": "0.3s", "validation_segment": "0.5s"}
    # Two speakers of four are held out; a batch has one recording of up to 1.2 s, of which 0.5 s are heard.
    train(tmp_path / "out", task="embed", epochs=1, frame_budget=25, **given)
    assert seen == [enough]
