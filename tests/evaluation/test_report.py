"""What an evaluation says of itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pipeline


def test_counts_add_up(words: str) -> None:
    figures = pipeline.evaluate(words).to_json()
    assert figures["rows"] == figures["compared"] + sum(figures["left_out"].values()) == 4
    assert figures["model"] == {"name": "tiny", "hash": "2f9c" + "0" * 60}
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_page_counts_only_what_there_is(words: str) -> None:
    page = pipeline.evaluate(words).markdown()
    assert "| with an error       | 1     |" in page
    assert "another part is missing" not in page
    assert "pending" not in page
    assert "![" not in page


def test_writing_again_replaces(words: str, tmp_path: Path) -> None:
    found = pipeline.evaluate(words)
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "scores.json").write_text("old")
    (folder / "other.txt").write_text("not ours")
    assert found.write(str(folder)) == ["scores.json", "scores.md", "error_by_duration.png"]
    assert json.loads((folder / "scores.json").read_text())["compared"] == 2
    assert (folder / "other.txt").read_text() == "not ours"
    assert (folder / "scores.md").read_text() == found.markdown(["error_by_duration.png"])


def test_secrets_are_not_shown(words: str) -> None:
    found = dataclasses.replace(pipeline.evaluate(words), output="s3://key:secret@bucket/out")
    assert "secret" not in found.markdown() + json.dumps(found.to_json())
    assert "s3://***@bucket/out/transcribe" in found.markdown()
