"""Whole trainings of a tiny model: every task learns, is saved as transformers loads it, and is done once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
import transformers
from safetensors.torch import load_file

from pipeline import models
from pipeline.audio import FeatureExtractor, fbank
from pipeline.errors import UserError
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES
from pipeline.text import Tokenizer
from pipeline.training import curve, fit
from tests.training.conftest import Train

TASKS: dict[str, dict[str, Any]] = {
    "transcribe": {},
    "classify": {},
    "frames": {"background": "silence"},
    "embed": {"longest": "0.5s", "segment_from": "0.3s", "validation_segment": "0.5s", "margin": 0.1},
}


@pytest.mark.parametrize("task", TASKS)
def test_a_tuned_model_says_the_same_here_and_in_transformers(tmp_path: Path, train: Train, task: str) -> None:
    fitted = train(tmp_path / "out", task=task, **TASKS[task])
    assert fitted.state == "ended"
    ours = models.load(tmp_path / "out")
    theirs = getattr(transformers, ARCHITECTURES[ours.config.head]).from_pretrained(tmp_path / "out").eval()
    features = torch.from_numpy(fbank(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)))[None]
    with torch.inference_mode():
        here, there = (
            ours(features, [features.shape[1]]),
            theirs(features, torch.ones(features.shape[:2], dtype=torch.int64)),
        )
    torch.testing.assert_close(here.logits, there.logits, atol=1e-4, rtol=1e-4)
    if task == "embed":
        torch.testing.assert_close(here.embeddings, there.embeddings, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_classes_are_learnt_and_named(tmp_path: Path, tones: Path, train: Train) -> None:
    fitted = train(tmp_path / "out", task="classify", epochs=25, learning_rate=1e-2, validate=str(tones))
    rows = curve.read(tmp_path / "out" / curve.CSV)
    assert fitted.best == 1.0
    assert rows[-1].loss < 0.2 < rows[0].loss
    document = json.loads((tmp_path / "out/config.json").read_text())
    assert document["id2label"] == {"0": "high", "1": "low"}
    assert document["problem_type"] == "single_label_classification"


@pytest.mark.slow
def test_frames_are_learnt(tmp_path: Path, tones: Path, train: Train) -> None:
    fitted = train(
        tmp_path / "out", task="frames", background="silence", epochs=25, learning_rate=1e-2, validate=str(tones)
    )
    assert fitted.metric == "frame_f1"
    assert fitted.best is not None
    assert fitted.best > 0.9
    assert models.load(tmp_path / "out").config.labels == ("silence", "tone")


@pytest.mark.parametrize(("field", "kind", "metric"), [
    ("several", "multi_label_classification", "f1"), ("number", "regression", "error"),
])  # fmt: skip
def test_several_classes_and_numbers_have_losses_of_their_own(
    tmp_path: Path, train: Train, field: str, kind: str, metric: str
) -> None:
    fitted = train(tmp_path / "out", task="classify", label_field=field)
    assert fitted.metric == metric
    assert json.loads((tmp_path / "out/config.json").read_text())["problem_type"] == kind


def test_a_vocabulary_is_written_from_the_transcripts(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "out", task="transcribe")
    tokenizer = Tokenizer.load(tmp_path / "out")
    assert tokenizer.tokens == ("<pad>", "<unk>", "|", *"ghilow")
    assert models.load(tmp_path / "out").config.vocab_size == 9
    processor = transformers.Wav2Vec2BertProcessor.from_pretrained(tmp_path / "out")
    assert processor.tokenizer.decode(tokenizer.encode("low high")) == "low high"
    assert FeatureExtractor.load(tmp_path / "out").stride == 2


def test_a_training_goes_on_from_a_checkpoint_with_another_head_and_a_frozen_encoder(
    tmp_path: Path, train: Train
) -> None:
    train(tmp_path / "ctc", task="transcribe")
    said: list[str] = []
    train(
        tmp_path / "classes", said=said, task="classify", model=str(tmp_path / "ctc"), from_scratch=False,
        freeze_encoder=True,
    )  # fmt: skip
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("ctc", "classes"))
    shared = [name for name in before if name.startswith("wav2vec2_bert.")]
    assert len(shared) > 20
    assert all(torch.equal(before[name], after[name]) for name in shared)
    assert "classifier.weight" in after
    assert "lm_head.weight" not in after
    learning = sum(tensor.numel() for name, tensor in after.items() if name not in shared)
    assert f"{learning:,} of them learn" in said[0]


def test_a_head_of_the_same_kind_is_kept_with_its_vocabulary(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "first", task="transcribe")
    train(
        tmp_path / "second", task="transcribe", model=str(tmp_path / "first"), from_scratch=False, learning_rate=1e-9,
        epochs=1, weight_decay=0,
    )  # fmt: skip
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    assert (tmp_path / "first/vocab.json").read_text() == (tmp_path / "second/vocab.json").read_text()


def test_fields_of_the_configuration_can_be_changed(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "ctc", task="transcribe")
    train(
        tmp_path / "frames", task="frames", model=str(tmp_path / "ctc"), from_scratch=False, background="silence",
        model_config="use_weighted_layer_sum=true,hidden_dropout=0.3", freeze_encoder=True,
    )  # fmt: skip
    model = models.load(tmp_path / "frames")
    assert model.config.use_weighted_layer_sum
    assert model.config.hidden_dropout == 0.3
    with pytest.raises(UserError, match="--model-config changes the shape of encoder.projection.linear.weight"):
        train(tmp_path / "no", model=str(tmp_path / "ctc"), from_scratch=False, model_config="hidden_size=32")


def test_a_training_that_has_ended_is_not_done_again_and_another_is_refused(tmp_path: Path, train: Train) -> None:
    first = train(tmp_path / "out", task="classify")
    said: list[str] = []
    again = train(tmp_path / "out", task="classify", said=said)
    assert (again.state, again.steps, said) == ("done before", first.steps, [])
    with pytest.raises(UserError, match="holds the result of another training.*--restart"):
        train(tmp_path / "out", task="classify", learning_rate=1e-5)
    fit.forget(tmp_path / "out")
    assert train(tmp_path / "out", task="classify", learning_rate=1e-5).state == "ended"


@pytest.mark.parametrize("from_scratch", [True, False])
def test_a_training_is_the_same_wherever_its_checkpoint_lies(
    tmp_path: Path, bare: Path, train: Train, monkeypatch: pytest.MonkeyPatch, from_scratch: bool
) -> None:
    model = bare
    if not from_scratch:
        model = tmp_path / "first"
        train(model, task="transcribe", epochs=1)
    given: dict[str, Any] = {"task": "classify", "epochs": 1, "from_scratch": from_scratch}
    train(tmp_path / "out", model=str(model), **given)
    monkeypatch.chdir(tmp_path)
    model.rename(tmp_path / "moved")
    assert train(tmp_path / "out", model="moved", **given).state == "done before"


def test_nothing_is_pickled_and_nothing_is_left_over(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "out", task="classify")
    names = sorted(path.name for path in (tmp_path / "out").rglob("*"))
    assert names == sorted(
        ["config.json", "curve.csv", "curve.png", "model.safetensors", "preprocessor_config.json", fit.RECORD]
    )


def test_what_cannot_be_read_is_counted_and_named(tmp_path: Path, tones: Path, train: Train) -> None:
    lines = [json.loads(line) for line in tones.read_text().splitlines()]
    for line in lines:
        line["audio_filepath"] = str(tones.parent / line["audio_filepath"])
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    soundfile.write(tmp_path / "unlabelled.wav", np.zeros(1600), 16000)
    more = [{"audio_filepath": "broken.wav", "label": "low"}, {"audio_filepath": "unlabelled.wav"}]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (*lines, *more)))
    given: dict[str, Any] = {"source": tmp_path / "manifest.jsonl", "task": "classify", "epochs": 1}
    fitted = train(tmp_path / "out", validation_share=0, **given)
    assert (fitted.examples, fitted.unusable) == (16, 2)
    reasons = " ".join(fitted.unusable_examples)
    assert "labels: no field 'label'" in reasons
    assert "decode: not an audio file" in reasons


def test_what_is_too_short_to_be_learnt_is_counted_and_named(tmp_path: Path, train: Train) -> None:
    lines = []
    for name, seconds, text in (("ok", 1.0, "aab"), ("blip", 0.02, "a"), ("fast", 0.2, "abababab")):
        soundfile.write(tmp_path / f"{name}.wav", np.random.default_rng(0).normal(0, 0.1, int(seconds * 16000)), 16000)
        lines.append({"audio_filepath": f"{name}.wav", "text": text, "label": text})
    source = tmp_path / "manifest.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fitted = train(tmp_path / "words", source=source, task="transcribe", validation_share=0)
    assert (fitted.examples, fitted.unusable) == (2, 1)
    lines[2]["text"] = "aabb" * 2
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fitted = train(tmp_path / "more", source=source, task="transcribe", validation_share=0)
    # 9 frames of 20 ms for 8 letters, of which four pairs are equal.
    assert (fitted.examples, fitted.unusable) == (1, 2)
    named = {reason: Path(example).name for reason, example in fitted.unusable_examples.items()}
    assert named == {
        "shorter than the model needs, 1 frame of 20 ms": "blip.wav",
        "text longer than the audio has frames": "fast.wav",
    }
    classes = train(tmp_path / "classes", source=source, task="classify", validation_share=0)
    assert (classes.examples, classes.unusable) == (2, 1)
