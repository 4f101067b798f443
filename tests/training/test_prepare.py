"""What is found out before any weight is read: parts, labels, and whether the model can learn them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.training import config
from pipeline.training.labels import Words
from pipeline.training.prepare import Prepared, prepare
from tests.training.conftest import Train


def prepared(source: Path, model: Path, **given: Any) -> Prepared:
    chosen = config.make({"model": str(model), "from_scratch": True, "validation_share": 0.25, **given})
    return prepare([str(source)], chosen)


def changed(tones: Path, path: Path, number: int, **fields: Any) -> Path:
    """The tones with other labels of one recording."""
    lines = [json.loads(line) for line in tones.read_text().splitlines()]
    lines[number] |= fields
    for line in lines:
        line["audio_filepath"] = str(tones.parent / line["audio_filepath"])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def first_held_out(tones: Path, bare: Path, task: str) -> int:
    ids = [each.recording.id for each in prepared(tones, bare, task=task).validation]
    return int(Path(ids[0]).stem)


def test_a_letter_or_class_that_only_the_validation_has_is_known_too(tones: Path, bare: Path, tmp_path: Path) -> None:
    number = first_held_out(tones, bare, "transcribe")
    other = [{"start": 0.0, "end": 0.1, "label": "rare"}]
    manifest = changed(tones, tmp_path / "rare.jsonl", number, text="low q", label="rare", frames=other)
    words = prepared(manifest, bare, task="transcribe")
    assert isinstance(words.space, Words)
    assert "q" in words.space.tokenizer.tokens
    assert all("q" not in each.label for each in words.train)
    assert prepared(manifest, bare, task="classify").space.names == ("high", "low", "rare")
    assert prepared(manifest, bare, task="frames").space.names == ("rare", "tone")


def test_speakers_are_held_out_by_two_so_that_they_can_be_told_apart(tones: Path, bare: Path) -> None:
    found = prepared(tones, bare, task="embed", validation_share=0.01)
    trained, judged = ({each.label for each in part} for part in (found.train, found.validation))
    assert len(judged) == 2
    assert len(trained) == 2
    assert not trained & judged


def test_what_validation_leaves_out_is_counted_too(tones: Path, bare: Path, tmp_path: Path) -> None:
    manifest = changed(tones, tmp_path / "some.jsonl", 2, label=None)
    found = prepared(tones, bare, task="classify", validate=str(manifest))
    assert (len(found.train), len(found.validation), found.left_out) == (16, 15, 1)
    assert Path(found.left_out_examples["labels: no field 'label'"]).name == "02.wav"


def test_what_is_too_long_to_be_judged_in_one_piece_is_left_out(tones: Path, bare: Path, tmp_path: Path) -> None:
    manifest = changed(tones, tmp_path / "long.jsonl", 2, offset=0.0, duration=601.0)
    found = prepared(tones, bare, task="transcribe", validate=str(manifest))
    assert len(prepared(tones, bare, task="classify", validate=str(manifest)).validation) == len(found.validation) + 1
    assert len(found.validation) == len(tones.read_text().splitlines()) - 1
    assert found.left_out == 1
    assert list(found.left_out_examples) == ["longer than 600 s, for validation"]
    lines = manifest.read_text().splitlines()
    manifest.write_text(lines[2] + "\n")
    with pytest.raises(UserError, match="long.jsonl: all 1 recording to validate on are longer than 600 s.*cut them"):
        prepared(tones, bare, task="transcribe", validate=str(manifest))


def test_something_must_be_left_to_train_on(tones: Path, bare: Path) -> None:
    with pytest.raises(UserError, match=r"--validation-share 1 holds out all there is \(16 recordings\).*--validate"):
        prepared(tones, bare, task="classify", validation_share=1)


def test_features_that_are_not_computed_here_are_refused_before_the_training(tones: Path, bare: Path) -> None:
    (bare / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000}))
    with pytest.raises(UserError, match="sampling_rate=8000; Voxmill computes 16000"):
        prepared(tones, bare, task="classify")


def test_numbers_keep_a_head_that_gives_one_whatever_it_is_called(tones: Path, tmp_path: Path, train: Train) -> None:
    train(tmp_path / "classes", task="classify", epochs=1)
    train(tmp_path / "number", task="classify", epochs=1, label_field="number")
    path = tmp_path / "number/config.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "id2label": {"0": "valence"}, "label2id": {"valence": 0}}))
    given: dict[str, Any] = {"task": "classify", "label_field": "number", "from_scratch": False}
    kept = prepared(tones, tmp_path / "number", **given)
    assert kept.keeps_head
    assert kept.space.names == ("valence",)
    with pytest.raises(UserError, match="labels: are numbers, and the checkpoint's head tells high, low; .*--new-head"):
        prepared(tones, tmp_path / "classes", **given)
