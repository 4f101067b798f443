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
        ([{"id": "zoe", "text": "x"}], r"no line names a row; rows have ids such as 'c/a.wav' and keys such as 'a'"),
        (
            [{"id": "a", "txt": "x"}],
            r"checked.jsonl: no line of a row has the field text; there are id, txt. Name one of them with --label-f",
        ),
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


@pytest.mark.parametrize("name", ["c/long.wav", "long"])
def test_a_line_about_a_recording_in_spans_is_about_all_of_them(
    table: Any, row: Any, tmp_path: Path, name: str
) -> None:
    part = {"recording": "long.wav", "spans": 2, "seconds": 10.0}
    rows = [
        row("long.wav@0-10", {"text": "one two"}, **part),
        row("long.wav@10-20", {"text": "four"}, **part, span=1, start=10.0),
    ]
    path = manifest(tmp_path, {"id": name, "text": "one two three"})
    found = pipeline.evaluate(table("transcribe", rows), reference=path)
    assert (found.compared, found.unmatched_lines) == (2, 0)
    assert (found.scores.words.words, found.scores.words.substitutions, found.scores.words.errors) == (3, 1, 1)


def test_a_line_whose_id_is_null_has_its_key(words: str, tmp_path: Path) -> None:
    path = manifest(tmp_path, {"id": None, "key": "a", "text": "one two"})
    assert pipeline.evaluate(words, reference=path).scores.words.rate == 0.0
