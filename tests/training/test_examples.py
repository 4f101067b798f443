"""Labelled recordings from manifests, sidecars and tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.training import examples


def test_labels_come_from_any_field(tones: Path) -> None:
    found = examples.find([str(tones)], "text")
    assert [each.label for each in found.examples][:2] == ["high", "low"]
    assert len(examples.find([str(tones), str(tones.parent / "manifest.jsonl")], "label").examples) == 32
    assert examples.find([str(tones)], "frames").examples[0].label[0]["label"] == "tone"


def test_sidecars_are_labels_too(tones: Path, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes((tones.parent / "00.wav").read_bytes())
    (tmp_path / "a.txt").write_text("two six\n")
    (tmp_path / "a.json").write_text(json.dumps({"speaker": "ann"}))
    assert examples.find([str(tmp_path)], "text").examples[0].label == "two six"
    assert examples.find([str(tmp_path)], "speaker").examples[0].label == "ann"


def test_a_missing_field_is_answered_with_what_there_is(tones: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.jsonl: labels: none of its 16 recordings has the field 'lable'.*"
                                        r"there is .*label.*--label-field"):  # fmt: skip
        examples.find([str(tones)], "lable")


def test_recordings_without_a_label_are_counted(tones: Path, tmp_path: Path) -> None:
    lines = [{"audio_filepath": str(tones.parent / "00.wav"), "label": "x"},
             {"audio_filepath": str(tones.parent / "01.wav")}]  # fmt: skip
    manifest = tmp_path / "some.jsonl"
    manifest.write_text("\n".join(map(json.dumps, lines)))
    found = examples.find([str(manifest)], "label")
    assert len(found.examples) == 1
    assert found.unlabelled[0].endswith("01.wav")


def test_the_fingerprint_is_of_data_and_labels(tones: Path) -> None:
    found = examples.find([str(tones)], "label").examples
    assert examples.fingerprint(found) == examples.fingerprint(list(found))
    changed = [replace(found[0], label="other"), *found[1:]]
    assert examples.fingerprint(found) != examples.fingerprint(changed)


def test_what_is_held_out_is_held_out_with_all_of_its_key_and_stays_so(tones: Path) -> None:
    found = examples.find([str(tones)], "speaker").examples
    held = examples.held_out(found, share=0.4, by=lambda each: each.label)
    out = {each.label for each, is_out in zip(found, held, strict=True) if is_out}
    assert 0 < len(out) < 4
    assert not out & {each.label for each, is_out in zip(found, held, strict=True) if not is_out}
    assert examples.held_out(found[:8], share=0.4, by=lambda each: each.label) == held[:8]
    assert not any(examples.held_out(found, share=0, by=lambda each: each.label))


def test_as_many_keys_are_held_out_as_validation_needs(tones: Path) -> None:
    found = examples.find([str(tones)], "speaker").examples
    for least in (1, 2):
        held = examples.held_out(found, share=1e-9, by=lambda each: each.label, least=least)
        assert len({each.label for each, is_out in zip(found, held, strict=True) if is_out}) == least
    # Of four speakers three cannot be held out and as many trained on.
    assert not any(examples.held_out(found, share=1e-9, by=lambda each: each.label, least=3))
