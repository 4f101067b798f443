"""Words from best paths: the text of `transformers`, times on frames, confidences by the definition."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2CTCTokenizer

from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.errors import UserError
from pipeline.text import Tokenizer, Word, best_path, ctc_decode, text_of, words_of

VOCAB = ("<pad>", "<unk>", "|", "a", "b", "C", "<s>", "</s>")
TOKENS = Tokenizer(tokens=VOCAB, blank_id=0, unknown_id=1, word_delimiter="|")


def ids_of(text: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    """`_` is the blank."""
    return np.array([0 if c == "_" else VOCAB.index(c) for c in text], np.int32)


def words(text: str, **options: Any) -> list[Word]:
    ids = ids_of(text)
    return words_of(ids, np.zeros(len(ids), np.float32), TOKENS, **options)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", ""),
        ("___", ""),
        ("|_|", ""),
        ("a", "a"),
        ("aaa", "a"),
        ("a_a", "aa"),
        ("ab_b|ba", "abb ba"),
        ("|_a|_||b|", "a b"),
        ("a|a", "a a"),
    ],
)
def test_runs_collapse_and_delimiters_part_words(path: str, text: str) -> None:
    assert text_of(words(path)) == text


@pytest.fixture(scope="module", params=[False, True], ids=["as_is", "lower"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    folder = tmp_path_factory.mktemp("vocab")
    theirs = Wav2Vec2CTCTokenizer(_vocab_file(folder), do_lower_case=request.param)
    theirs.save_pretrained(str(folder))
    return Tokenizer.load(folder), Wav2Vec2CTCTokenizer.from_pretrained(str(folder))


def _vocab_file(folder: Path) -> str:
    content = ", ".join(f'"{token}": {id}' for id, token in enumerate([*VOCAB, " ", "ÄÖ", "ΑΣ", "x "]))
    (folder / "vocab.json").write_text("{" + content + "}", encoding="utf-8")
    return str(folder / "vocab.json")


@settings(max_examples=300, deadline=None)
@given(ids=st.lists(st.integers(0, 13), max_size=60))
def test_the_text_is_that_of_transformers(pair: tuple[Tokenizer, Any], ids: list[int]) -> None:
    ours, theirs = pair
    found = words_of(np.array(ids, np.int32), np.zeros(len(ids), np.float32), ours)
    # transformers keeps one space for each of two delimiters with only blanks between; ours are single
    assert text_of(found) == " ".join(theirs.batch_decode([ids])[0].split())


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.integers(0, 13), min_size=1, max_size=60))
def test_the_times_are_those_of_transformers(pair: tuple[Tokenizer, Any], ids: list[int]) -> None:
    ours, theirs = pair
    found = words_of(np.array(ids, np.int32), np.zeros(len(ids), np.float32), ours)
    offsets = theirs.batch_decode([ids], output_word_offsets=True).word_offsets[0]
    assert [(word.start, word.end) for word in found] == [
        (offset["start_offset"] / 50, offset["end_offset"] / 50) for offset in offsets
    ]


def by_hand(path: str, log_probs: list[float]) -> list[Word]:
    """The definition, frame by frame and slowly."""
    found = []
    frames = list(zip(path, itertools.count(), log_probs, strict=False))
    for delimiter, group in itertools.groupby(frames, key=lambda frame: frame[0] == "|"):
        emitting = [] if delimiter else [frame for frame in group if frame[0] != "_"]
        if emitting:
            first, last = emitting[0][1], emitting[-1][1]
            spelled = "".join(c for c, _ in itertools.groupby(path[first : last + 1]) if c != "_")
            confidence = math.exp(sum(p for _, _, p in emitting) / len(emitting))
            found.append(Word(spelled, first / 50, (last + 1) / 50, confidence))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("_|abC"), st.floats(-20, 0, width=32)), max_size=80))
def test_times_and_confidences_follow_the_definition(frames: list[tuple[str, float]]) -> None:
    path, log_probs = "".join(c for c, _ in frames), [p for _, p in frames]
    found = words_of(ids_of(path), np.array(log_probs, np.float32), TOKENS)
    expected = by_hand(path, log_probs)
    assert [(w.word, w.start, w.end) for w in found] == [(w.word, w.start, w.end) for w in expected]
    assert [w.confidence for w in found] == pytest.approx([w.confidence for w in expected], abs=1e-9)
    edges = [time for word in found for time in (word.start, word.end)]
    assert edges == sorted(edges)
    assert all(0 <= w.start < w.end <= len(path) / FRAMES_PER_SECOND + 1e-9 for w in found)


@given(st.integers(0, 24 * 3600), st.integers(0, 24 * 3600), st.text("_|ab", min_size=1, max_size=30))
def test_a_frame_has_one_time_from_wherever_it_is_seen(offset: int, earlier: int, path: str) -> None:
    here = words(path, offset=float(offset))
    there = words("_" * (50 * min(earlier, 60)) + path, offset=float(offset - min(earlier, 60)))
    assert here == there


def test_best_path_is_the_softmax_of_the_best_token() -> None:
    logits = torch.randn(40, len(VOCAB), dtype=torch.bfloat16)
    ids, log_probs = best_path(logits)
    expected = logits.double().log_softmax(-1).max(-1)
    assert (ids.dtype, log_probs.dtype) == (torch.int32, torch.float32)
    assert torch.equal(ids.long(), logits.double().argmax(-1))
    assert torch.allclose(log_probs.double(), expected.values, atol=1e-6)


def test_ctc_decode_takes_logits_to_words() -> None:
    logits = torch.full((5, len(VOCAB)), -30.0)
    logits[torch.arange(5), torch.from_numpy(ids_of("_a|bb")).long()] = 0.0
    found = ctc_decode(logits, TOKENS)
    assert [(w.word, w.start, w.end) for w in found] == [("a", 0.02, 0.04), ("b", 0.06, 0.1)]
    assert [w.confidence for w in found] == pytest.approx([1.0, 1.0])
    assert ctc_decode(logits.numpy(), TOKENS) == found
    assert ctc_decode(logits[:0], TOKENS) == []


def test_logits_of_something_else_are_refused() -> None:
    with pytest.raises(UserError, match=r"one recording, \(T, V\); these are \(1, 5, 8\)"):
        ctc_decode(torch.zeros(1, 5, 8), TOKENS)
    last = Tokenizer(tokens=VOCAB, blank_id=7, unknown_id=None, word_delimiter="|")
    with pytest.raises(UserError, match=r"4 classes, but the blank of this vocabulary is number 7"):
        ctc_decode(torch.zeros(5, 4), last)


def test_a_vocabulary_without_a_delimiter_is_one_word() -> None:
    tokenizer = Tokenizer(tokens=("<pad>", "字", "幕"), blank_id=0, unknown_id=None, word_delimiter=None)
    found = words_of(np.array([1, 0, 2, 9], np.int32), np.zeros(4, np.float32), tokenizer)
    assert [(w.word, w.start, w.end) for w in found] == [("字幕", 0.0, 0.06)]


def test_decoding_is_fast_enough_for_one_core() -> None:
    rng = np.random.default_rng(0)
    # ten hours of frames; speech of this model emits in about every third frame
    ids = np.where(rng.random(1_800_000) < 0.6, 0, rng.integers(1, len(VOCAB), 1_800_000)).astype(np.int32)
    log_probs = -rng.random(len(ids)).astype(np.float32)
    begun = time.thread_time()
    found = words_of(ids, log_probs, TOKENS)
    speed = len(ids) / (time.thread_time() - begun)
    print(f"words_of: {speed:,.0f} frames/s, {len(found):,} words")
    assert speed > 100_000


def test_what_rounding_leaves_above_certainty_is_certain() -> None:
    log_probs = np.full(3, 1e-7, np.float32)
    assert [word.confidence for word in words_of(ids_of("a|b"), log_probs, TOKENS)] == [1.0, 1.0]
