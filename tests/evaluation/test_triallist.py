"""Trials from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError


def test_a_list_of_trials_needs_no_speakers(voices: str, tmp_path: Path) -> None:
    file = tmp_path / "trials.txt"
    file.write_text("a1 c/a2.wav target\na1 n nontarget\n\na2 b1 0\na1 b2 0\nzoe a1 1\n")
    found = pipeline.evaluate(voices, trials=str(file), bootstrap=20)
    assert (found.scores.targets, found.scores.others) == (1, 2)
    assert found.scores.unscored == {
        "naming a recording that is not in the table": 1,
        "naming a recording without an embedding": 1,
    }
    assert found.left_out["without a reference"] == 0
    assert found.reference == f"trials of {file}"
    assert (found.scores.speakers, found.scores.drawn) == (None, "recordings")
    assert "trials not scored, naming a recording without an embedding" in found.markdown()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a1 a2\n", r"trials.txt: line 1 must be two ids and target, nontarget, 1 or 0, was 'a1 a2'"),
        ("a1 a2 1\na1 a2 yes\n", r"line 2 must be two ids"),
        ("x y 1\n", r"no trial can be scored \(1 naming a recording that is not in the table, 0 naming"),
        ("a1 a2 1\n", r"trials need both kinds, same speaker and different speakers: 1 and 0 were given"),
    ],
)
def test_lists_that_are_no_trials(voices: str, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "trials.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        pipeline.evaluate(voices, trials=str(tmp_path / "trials.txt"))


def test_names_with_spaces_are_parted_by_tabs(table: Any, row: Any, tmp_path: Path) -> None:
    vectors = {"a one.wav": [1.0, 0.0, 0.0], "b.wav": [0.0, 1.0, 0.0], "c.wav": [1.0, 0.0, 0.0]}
    output = table("embed", [row(name, {"embedding": each, "segments": []}) for name, each in vectors.items()])
    (tmp_path / "trials.txt").write_text("a one\tc\ttarget\na one\tb\t0\nb c 0\n")
    scores = pipeline.evaluate(output, trials=str(tmp_path / "trials.txt")).scores
    assert (scores.targets, scores.others, scores.curve.equal_error_rate) == (1, 2, 0.0)
