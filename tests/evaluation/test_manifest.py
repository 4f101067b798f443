"""References in a JSONL manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError


def manifest(folder: Path, *lines: Any) -> str:
    path = folder / "checked.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines))
    return str(path)


def test_a_manifest_names_rows_by_id_or_key(words: str, tmp_path: Path) -> None:
    lines = {"id": "c/a.wav", "text": "one too"}, "", {"key": "d", "text": "six"}, {"id": "zoe", "text": "x"}
    found = pipeline.evaluate(words, reference=manifest(tmp_path, *lines))
    assert (found.compared, found.left_out["without a reference"], found.unmatched_lines) == (2, 1, 1)
    assert (found.scores.words.errors, found.scores.words.words) == (1, 3)
    assert found.reference.endswith("checked.jsonl, field text")
    assert "lines of the manifest that are no row's | 1" in found.markdown()


def test_a_field_of_a_manifest_may_be_named(words: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, {"id": "a", "text": "x", "corrected": "one two"})
    assert pipeline.evaluate(words, reference=path, label_field="corrected").scores.words.errors == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], r"checked.jsonl: line 1 is not JSON: "),
        (["[]"], r"line 1 must be an object with `id`"),
        ([{"text": "x"}], r"line 1 must be an object with `id`"),
        (
            [{"id": "a", "text": "x"}, {"id": "c/a.wav", "text": "x"}],
            r"line 2: an earlier line names the same recording",
        ),
        ([{"id": "zoe", "text": "x"}], r"no row has a reference \(.*checked.jsonl, field text\). Name a column or a"),
    ],
)
def test_manifests_that_do_not_fit(words: str, tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pipeline.evaluate(words, reference=manifest(tmp_path, *lines))


def test_a_key_of_several_rows_does_not_say_which(table: Any, row: Any, tmp_path: Path) -> None:
    output = table("transcribe", [row("a.wav", {"text": "x"}), row("a.flac", {"text": "y"})])
    with pytest.raises(UserError, match=r"line 1: several rows have the key 'a'; write the id instead"):
        pipeline.evaluate(output, reference=manifest(tmp_path, {"id": "a", "text": "x"}))
    found = pipeline.evaluate(output, reference=manifest(tmp_path, {"id": "c/a.flac", "text": "y"}))
    assert found.scores.words.errors == 0
