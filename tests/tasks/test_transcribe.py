"""Rows of the transcription task: text, times inside the recording, seams of spans, silence and faults."""

from __future__ import annotations

import bisect
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import RunConfig
from pipeline.models.outputs import FrameOutput
from pipeline.tasks import TASKS, Heard, Rows, Stretch, transcribe
from pipeline.text import Tokenizer, Word, words_of

VOCAB = ("<pad>", "<unk>", "|", "a", "b", "c")
TOKENS = Tokenizer(tokens=VOCAB, blank_id=0, unknown_id=1, word_delimiter="|")
TASK = transcribe.Transcribe(TOKENS)


def heard(path: str, *, log_prob: float = -0.1, **facts: Any) -> Heard:
    ids = np.array([0 if c == "_" else VOCAB.index(c) for c in path], np.int32)
    return Heard((ids, np.full(len(ids), log_prob, np.float32)), **facts)


def reduced(logits: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return TASK.reduce(FrameOutput(logits, logits, (len(logits),)))


def row(rows: Rows, i: int = 0) -> dict[str, Any]:
    return {name: column[i].as_py() for name, column in rows.columns.items()}


def test_the_columns_are_those_declared() -> None:
    rows = TASK.rows([heard("a|b"), None, heard("")])
    assert TASK.columns == transcribe.COLUMNS
    assert [(name, column.type) for name, column in rows.columns.items()] == [
        ("text", pa.string()),
        ("confidence", pa.float32()),
        ("words", pa.list_(transcribe.WORD)),
    ]
    assert {len(column) for column in rows.columns.values()} == {3}
    assert all(column.nullable for column in TASK.columns)


def test_the_task_is_made_of_a_checkpoint_and_none_of_its_options_changes_its_rows(checkpoint: Path) -> None:
    form = TASKS["transcribe"]
    assert (form.output_version, form.head, form.options) == (1, "ctc", ())
    assert form.of(checkpoint, RunConfig()) == transcribe.Transcribe(Tokenizer.load(checkpoint))


def test_every_frame_is_scored_for_no_piece_is_pooled() -> None:
    assert not TASK.pools
    assert [(each.start, each.stop) for each in TASK.pieces(Stretch(((0, 40), (40, 70)), (5, 60))).pieces] == [(0, 70)]


def test_a_row_is_told_by_its_text() -> None:
    assert TASK.told(row(TASK.rows([heard("a|b")]))) == "a b"
    assert TASK.told(row(TASK.rows([heard("___")]))) == "(no words)"


def test_a_recording_becomes_text_with_times() -> None:
    found = row(TASK.rows([heard("_a|_bb", audio_end=0.12)]))
    assert found["text"] == "a b"
    assert found["confidence"] == pytest.approx(np.exp(-0.1))
    assert [(w["word"], w["start"], w["end"]) for w in found["words"]] == [
        ("a", 0.02, 0.04),
        ("b", 0.08, 0.12),
    ]


def test_silence_has_empty_text_and_no_error() -> None:
    rows = TASK.rows([heard("____"), heard("")])
    assert row(rows, 0) == row(rows, 1) == {"text": "", "confidence": None, "words": []}
    assert rows.errors == {}


def test_a_recording_that_failed_has_nulls() -> None:
    rows = TASK.rows([None, heard("a")])
    assert row(rows, 0) == {"text": None, "confidence": None, "words": None}
    assert row(rows, 1)["text"] == "a"
    assert rows.errors == {}  # whoever put None there holds its error


def test_no_recordings_are_no_rows() -> None:
    assert [len(column) for column in TASK.rows([]).columns.values()] == [0, 0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_output_that_is_no_number_is_an_error_of_that_recording_only(value: float) -> None:
    bad = heard("aab")
    bad.columns[1][1] = value
    rows = TASK.rows([heard("a"), bad])
    assert row(rows, 0)["text"] == "a"
    assert row(rows, 1) == {"text": None, "confidence": None, "words": None}
    assert (rows.errors[1].stage, rows.errors[1].type) == ("model", "not_finite")


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_poisoned_logits_arrive_as_an_error(poison: float) -> None:
    logits = torch.zeros(3, len(VOCAB))
    logits[1, 3] = poison
    ids, log_probs = reduced(logits)
    assert list(TASK.rows([Heard((ids.numpy(), log_probs.numpy()))]).errors) == [0]


def test_reduce_keeps_the_best_token_of_each_frame() -> None:
    logits = torch.tensor([[0.0, 0, 0, 9, 0, 0], [9.0, 0, 0, 0, 0, 0]])
    ids, log_probs = reduced(logits)
    assert (ids.dtype, log_probs.dtype) == (torch.int32, torch.float32)
    assert ids.tolist() == [3, 0]
    assert torch.allclose(log_probs, logits.log_softmax(-1).amax(-1))


def test_word_times_stay_inside_the_recording() -> None:
    found = row(TASK.rows([heard("a|b", offset=10.0, audio_end=10.045)]))
    assert [(w["start"], w["end"]) for w in found["words"]] == [(10.0, 10.02), (10.04, 10.045)]
    beyond = row(TASK.rows([heard("a|b", audio_end=0.03)]))
    assert [(w["start"], w["end"]) for w in beyond["words"]] == [(0.0, 0.02), (0.03, 0.03)]
    assert 0 < beyond["confidence"] <= 1


def test_a_word_at_the_seam_belongs_to_the_span_that_holds_its_middle() -> None:
    path = "_" * 49 + "ab" + "_" * 10  # 0.98 to 1.02, middle exactly at the seam
    before = heard(path, start=0.0, end=1.0)
    after = heard(path, start=1.0, end=None)
    assert row(TASK.rows([before]))["text"] == ""
    assert row(TASK.rows([after]))["text"] == "ab"


def test_a_last_span_without_a_planned_end_keeps_what_there_is() -> None:
    assert row(TASK.rows([heard("___a", start=0.0, end=None, audio_end=0.08)]))["text"] == "a"


@given(
    path=st.text("_|abc", min_size=300, max_size=400),
    context=st.integers(100, 150),
    first=st.integers(0, 3000),
)
def test_spans_share_the_words_out_without_loss_or_doubles(path: str, context: int, first: int) -> None:
    whole = heard(path.replace("aaa", "a|b") + "_" * 60, offset=float(first))
    seams = [first + 2.0, first + 4.0, first + 6.0]
    parts = []
    for start, end in zip([float(first), *seams], [*seams, None], strict=True):
        lo = max(0, round((start - first) * 50) - context)
        hi = len(whole.columns[0]) if end is None else round((end - first) * 50) + context
        offset = first + lo / 50
        bounds = {"start": start, "end": end, "audio_end": end}
        parts.append(Heard(tuple(column[lo:hi] for column in whole.columns), offset=offset, **bounds))
    together = [word for part in parts for word in transcribe.words_in(part, TOKENS)]
    expected = words_of(*whole.columns, TOKENS, offset=float(first))
    if max((word.end - word.start for word in expected), default=0) <= 2.0:  # no word longer than the context
        assert together == [cut_at(seams, word) for word in expected]


def cut_at(seams: list[float], word: Word) -> Word:
    """The part of a word that lies in the span that has its middle."""
    edges = [0.0, *seams, float("inf")]
    number = bisect.bisect_right(seams, word.middle)
    return dataclasses.replace(word, start=max(word.start, edges[number]), end=min(word.end, edges[number + 1]))
