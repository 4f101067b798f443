"""The checkpoints that come along: small, the same in transformers, and as good on human speech as their cards say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import demo, models
from pipeline.demo import make_training
from pipeline.models.predict import Predictor
from pipeline.training import config, validation
from pipeline.training.fit import _job
from pipeline.training.prepare import prepare
from pipeline.training.team import Team
from tests import speech
from tests.benchmarks import speakers

LARGEST = 12 * 2**20
"""Bytes of a checkpoint."""
CLASSES = {
    "transcribe": "Wav2Vec2BertForCTC",
    "classify": "Wav2Vec2BertForSequenceClassification",
    "frames": "Wav2Vec2BertForAudioFrameClassification",
    "embed": "Wav2Vec2BertForXVector",
}
human = pytest.mark.skipif(
    not speech.FOLDER.is_dir(), reason=f"human speech (VOXMILL_SPEECH) is not at {speech.FOLDER}"
)


@pytest.mark.parametrize("kind", list(CLASSES))
def test_it_is_small_and_says_whose_voices_it_learned_from(kind: str) -> None:
    folder = demo.checkpoint_folder(demo.CHECKPOINTS[kind])
    assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST
    assert json.loads((folder / "config.json").read_text())["architectures"] == [CLASSES[kind]]
    card = (folder / "README.md").read_text()
    assert "CC BY" in card
    assert "jobs/finetune.py" in card


@pytest.mark.parametrize("kind", list(CLASSES))
def test_transformers_says_the_same(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    folder = demo.checkpoint_folder(demo.CHECKPOINTS[kind])
    theirs = getattr(transformers, CLASSES[kind]).from_pretrained(folder).eval()
    features = torch.randn(1, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs(features).logits
        found = models.load(folder)(features, [160]).logits
    assert torch.allclose(found.reshape(expected.shape), expected, atol=1e-4 * float(expected.abs().max()))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> make_training.Place:
    return make_training.Place(tmp_path_factory.mktemp("human"))


def score(kind: str, manifest: Path) -> float:
    """What a training's validation would say of the checkpoint."""
    given = {"model": str(demo.checkpoint_folder(demo.CHECKPOINTS[kind])), "task": kind, "validate": str(manifest)}
    chosen = config.make({**given, "background": "silence" if kind == "frames" else "none"})
    job = _job(prepare([str(manifest)], chosen), manifest.parent, chosen, asked="", team=Team(), device="cpu", say=str)
    assert job.validation is not None
    _, found = validation.validate(
        job.model.eval(), job.objective, job.validation, frame_budget=3000, dtype=torch.float32
    )
    return found


@human
def test_digits_of_unheard_takes_are_transcribed(place: make_training.Place) -> None:
    random = np.random.default_rng(3)
    said = make_training.strings(make_training.clips(speech.FOLDER, "test"), 120, random)
    make_training.write_strings(place, "strings", said, random)
    assert score("transcribe", place.folder / "strings.jsonl") < 0.03


@human
def test_single_digits_are_told_apart(place: make_training.Place) -> None:
    random = np.random.default_rng(0)
    make_training.write_digits(place, "digits", make_training.clips(speech.FOLDER, "test"), random)
    assert score("classify", place.folder / "digits.jsonl") > 0.97


@human
def test_speech_is_found_in_noise(place: make_training.Place) -> None:
    random = np.random.default_rng(6)
    clean = [
        each for each, _ in zip(make_training.padded_sentences(speech.FOLDER, "test", random), range(24), strict=False)
    ]
    make_training.write_frames(place, "frames", clean, 6, noise=True)
    assert score("frames", place.folder / "frames.jsonl") > 0.95


@human
@pytest.mark.parametrize("channel", ["none", "random"])
def test_unheard_speakers_are_told_apart_by_three_seconds(channel: str) -> None:
    asked = speakers.segments("test", channel=channel)
    predictor = Predictor({"x": models.load(demo.checkpoint_folder("speaker-xvector"))})
    for alone in (True, False):
        rate, _ = speakers.scored(speakers.embedded(predictor, asked, alone=alone), asked)
        assert rate < 0.08
