"""Transcripts from table to scores."""

from __future__ import annotations

from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError


def test_a_table_of_transcripts(words: str) -> None:
    found = pipeline.evaluate(words)
    assert (found.rows, found.compared) == (4, 2)
    assert found.left_out["with an error"] == 1
    assert found.left_out["without a reference"] == 1
    assert (found.task, found.reference, found.model["name"]) == ("transcribe", "column reference", "tiny")
    figures = found.to_json()["scores"]
    assert figures["words"] == {
        "length": 5, "substitutions": 0, "insertions": 0, "deletions": 1, "errors": 1, "rate": 0.2,
    }  # fmt: skip
    # " three" is gone.
    assert (figures["characters"]["deletions"], figures["characters"]["length"]) == (6, 7 + 14)
    assert (figures["recordings"], figures["exact"]) == (2, 1)
    assert [each["id"] for each in figures["worst"]] == ["c/b.wav"]
    assert [(each["low"], each["errors"], each["total"]) for each in figures["by_duration"]] == [(2, 0, 2), (5, 1, 3)]


def test_the_worst_come_first_and_are_ten_at_most(table: Any, row: Any) -> None:
    rows = [row(f"{n:02}.wav", {"text": "x " * n}, "y " * n) for n in range(1, 13)]
    found = pipeline.evaluate(table("transcribe", rows)).scores
    assert [each.id for each in found.worst] == [f"c/{n:02}.wav" for n in range(12, 2, -1)]


def test_spans_are_joined_before_they_are_compared(table: Any, row: Any) -> None:
    part = {"recording": "long.wav", "reference": "one two three", "spans": 2}
    rows = [
        row("long.wav@10-20", {"text": "three"}, **part, start=10.0, span=1, seconds=10.0),
        row("long.wav@0-10", {"text": "one two"}, **part, span=0, seconds=10.0),
    ]
    found = pipeline.evaluate(table("transcribe", rows))
    assert (found.scores.words.errors, found.scores.words.words, found.scores.recordings) == (0, 3, 1)
    assert [each.low for each in found.scores.durations] == [20]


def test_spans_with_references_of_their_own_are_joined_on_both_sides(table: Any, row: Any) -> None:
    part = {"recording": "long.wav", "spans": 2}
    rows = [
        row("long.wav@0-10", {"text": "one two"}, "one two", **part),
        row("long.wav@10-20", {"text": "three"}, "three", **part, start=10.0, span=1),
    ]
    found = pipeline.evaluate(table("transcribe", rows)).scores
    assert (found.words.errors, found.words.words) == (0, 3)


def test_a_span_without_the_others_is_left_out_and_counted(table: Any, row: Any) -> None:
    part = {"recording": "long.wav", "reference": "one two three", "spans": 2}
    rows = [
        row("long.wav@0-10", {"text": "one two"}, **part, span=0),
        row("long.wav@10-20", {}, **part, start=10.0, span=1, error=True),
        row("short.wav", {"text": "six"}, "six"),
    ]
    found = pipeline.evaluate(table("transcribe", rows))
    assert found.left_out["parts of recordings of which another part is missing"] == 1
    assert (found.compared, found.scores.words.words) == (1, 1)


def test_a_reference_that_is_no_text(table: Any, row: Any) -> None:
    output = table("transcribe", [row("a.wav", {"text": "one"}, metadata={"text": 7})])
    with pytest.raises(UserError, match=r"c/a.wav: the reference of a transcript must be text, was 7"):
        pipeline.evaluate(output, label_field="text")


def test_an_empty_reference_is_a_reference(table: Any, row: Any) -> None:
    found = pipeline.evaluate(table("transcribe", [row("a.wav", {"text": "one"}, "")]))
    assert (found.compared, found.scores.words.insertions, found.scores.words.rate) == (1, 1, None)
    assert "not defined (1 of 0)" in found.markdown()
