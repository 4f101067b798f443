"""Where references are looked for: a column, the metadata, or a file."""

from __future__ import annotations

from typing import Any

import pytest

import pipeline
from pipeline.errors import UserError


def test_a_column(words: str) -> None:
    found = pipeline.evaluate(words, reference="key")
    assert (found.reference, found.compared) == ("column key", 3)


def test_a_field_of_the_metadata(table: Any, row: Any) -> None:
    rows = [row("a.wav", {"text": "one"}, "two", {"corrected": "one"}), row("b.wav", {"text": "x"}, "x", {})]
    found = pipeline.evaluate(table("transcribe", rows), label_field="corrected")
    assert (found.compared, found.scores.words.errors, found.reference) == (1, 0, "metadata field corrected")


def test_neither_column_nor_file(words: str) -> None:
    with pytest.raises(UserError, match=r"--reference: 'txet' is neither a column of the table nor a file"):
        pipeline.evaluate(words, reference="txet")


def test_a_column_has_no_fields(words: str) -> None:
    with pytest.raises(UserError, match=r"--label-field x is a field of .* --reference key a column .* leave one out"):
        pipeline.evaluate(words, reference="key", label_field="x")


def test_no_references_at_all(table: Any, row: Any) -> None:
    rows = [row("a.wav", {"label": "x", "score": 1.0}, metadata={"voice": "low", "speaker": "ann"})]
    output = table("classify", rows)
    with pytest.raises(UserError, match=r"out/classify: no row has a reference \(column reference\)"):
        pipeline.evaluate(output)
    with pytest.raises(UserError, match=r"The metadata has speaker, voice: name one with --label-field"):
        pipeline.evaluate(output, label_field="lable")
