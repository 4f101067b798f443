"""The calibration error of rows that a model made: their scores are its own probabilities, from logits to the page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pipeline
from pipeline import config, demo, flow, models
from pipeline.flow import Doing, UnitFeatures
from pipeline.models.layout import Packed
from pipeline.models.predict import Predictor
from pipeline.models.wav2vec2_bert.top import folded
from pipeline.tasks import TASKS
from tests.heads import checkpoints
from tests.units import WHOLE, recordings_of, unit_of

COUNT, BINS = 10, 15


@pytest.fixture(scope="module")
def model(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of the classes a, b and c whose head is random."""
    return checkpoints(checkpoint, tmp_path_factory.mktemp("heads"))["classify"]


@pytest.fixture(scope="module")
def features() -> UnitFeatures:
    """The shortest recordings of the demo."""
    found = sorted(recordings_of(demo.corpus_folder() / "digits-000000.tar"), key=lambda each: each.seconds)
    return flow.featurise(flow.read(unit_of([each for each in found if each.seconds > 1][:COUNT])), WHOLE)


def rows(model: Path, features: UnitFeatures) -> list[dict[str, Any]]:
    task = TASKS["classify"].of(model, config.make({}))
    outputs = flow.infer(features, [Predictor({"classify": models.load(model)})], {"classify": Doing(task)}, WHOLE)
    made = flow.rows(outputs, "classify", task)
    assert made.errors == {}
    return [{name: column[row].as_py() for name, column in made.columns.items()} for row in range(COUNT)]


def softmaxes(model: Path, features: UnitFeatures) -> np.ndarray:
    """By definition: one recording after the other, the exponentials of its logits as shares of their sum."""
    loaded: Any = models.load(model)
    found = []
    with torch.inference_mode():
        for frames in np.split(features.frames, np.cumsum(features.lengths)[:-1]):
            layout = Packed((len(frames),), torch.device("cpu"))
            states = folded(loaded.top, loaded.encoder.states(torch.from_numpy(frames), layout))
            powers = np.exp(loaded.score(states, layout).logits[0].double().numpy())
            found.append(powers / powers.sum())
    return np.array(found)


def test_the_error_is_that_of_the_models_own_probabilities(
    table: Any, row: Any, model: Path, features: UnitFeatures
) -> None:
    shares = softmaxes(model, features)
    best, scores = shares.argmax(axis=1), shares.max(axis=1)
    right = np.arange(COUNT) % 3 > 0
    references = ["abc"[label if is_right else (label + 1) % 3] for label, is_right in zip(best, right, strict=True)]
    made = [
        row(f"{n}.wav", values, metadata={"label": reference})
        for n, (values, reference) in enumerate(zip(rows(model, features), references, strict=True))
    ]
    figures = pipeline.evaluate(table("classify", made)).to_json()["scores"]
    places = [math.ceil(score * BINS) - 1 for score in scores]
    gaps = [abs(sum(scores[i] - right[i] for i in range(COUNT) if places[i] == place)) / COUNT for place in set(places)]
    assert figures["calibration"]["expected_error"] == pytest.approx(sum(gaps), abs=1e-5)
    assert figures["accuracy"] == 0.6
    assert [each["count"] for each in figures["calibration"]["bins"]] == [places.count(n) for n in range(BINS)]
    # Scores that hardly differ would show nothing.
    assert len(set(places)) >= 3
