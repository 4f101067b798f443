"""Transcripts of a batch, letter by letter, against transformers' offsets."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2CTCTokenizer

from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.text import Tokenizer, batch_decode
from pipeline.text.transcript import letters_of

VOCAB = {"<pad>": 0, "<unk>": 1, "|": 2, "A": 3, "B": 4, "C": 5}


@pytest.fixture(scope="module", params=[True, False], ids=["lower case", "as it is"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    folder = tmp_path_factory.mktemp("vocab")
    (folder / "vocab.json").write_text(json.dumps(VOCAB))
    document = {"do_lower_case": request.param, "bos_token": None, "eos_token": None}
    (folder / "tokenizer_config.json").write_text(json.dumps(document))
    return Tokenizer.load(folder), Wav2Vec2CTCTokenizer.from_pretrained(str(folder))


def logits_of(ids: list[int]) -> torch.Tensor:
    """(T, 6) logits whose best path is `ids`."""
    return torch.nn.functional.one_hot(torch.tensor(ids), len(VOCAB)).float() * 4


@settings(max_examples=150, derandomize=True)
@given(st.lists(st.sampled_from(sorted(VOCAB.values())), min_size=1, max_size=25))
def test_letters_are_the_characters_of_transformers(pair: tuple[Tokenizer, Any], ids: list[int]) -> None:
    ours, theirs = pair
    expected = theirs.decode(ids, output_char_offsets=True, clean_up_tokenization_spaces=False).char_offsets
    letters = letters_of(np.array(ids, dtype=np.int32), ours)
    frames = [(round(one.start * FRAMES_PER_SECOND), round(one.end * FRAMES_PER_SECOND)) for one in letters]
    assert frames == [(one["start_offset"], one["end_offset"]) for one in expected]
    assert [one.letter.upper() for one in letters] == [str(one["char"]).upper() for one in expected]


def test_a_batch_is_decoded_row_by_row_without_its_padding(pair: tuple[Tokenizer, Any]) -> None:
    ours, theirs = pair
    rows = [[3, 3, 0, 4, 2, 5, 0, 5], [4, 0, 4]]
    logits = torch.nn.utils.rnn.pad_sequence([logits_of(row) for row in rows], batch_first=True)
    logits[1, 3:] = logits_of([5])  # nothing of it may be heard
    first, second = batch_decode(logits, (8, 3), ours)
    assert [first.text, second.text] == theirs.batch_decode(rows)
    assert [(word.word.upper(), word.start, word.end) for word in first.words] == [("AB", 0.0, 0.08), ("CC", 0.1, 0.16)]
    assert "".join(one.letter for one in first.letters) == first.text
    assert [one.start for one in second.letters] == [0.0, 0.04]


def test_times_follow_the_frames_of_a_model_with_fewer(pair: tuple[Tokenizer, Any]) -> None:
    (slow,) = batch_decode(logits_of([3, 3, 0, 4, 2, 5])[None], (6,), pair[0], frames_per_second=25)
    assert [(word.start, word.end) for word in slow.words] == [(0.0, 0.16), (0.2, 0.24)]
    assert [(one.start, one.end) for one in slow.letters] == [(0.0, 0.08), (0.12, 0.16), (0.16, 0.2), (0.2, 0.24)]


def test_nothing_said_is_an_empty_transcript(pair: tuple[Tokenizer, Any]) -> None:
    silent = batch_decode(logits_of([0, 0, 3])[None], (2,), pair[0])
    empty = batch_decode(torch.zeros(1, 0, 6), (0,), pair[0])
    for transcript in silent + empty:
        assert (transcript.text, transcript.words, transcript.letters) == ("", (), ())


@settings(max_examples=150, derandomize=True)
@given(st.text(alphabet="ABCabc d|é", max_size=12))
def test_texts_become_the_ids_of_transformers(pair: tuple[Tokenizer, Any], text: str) -> None:
    ours, theirs = pair
    assert ours.encode(text) == theirs(text).input_ids


def test_a_token_of_several_letters_goes_before_its_letters(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(VOCAB | {"AB": 6, "ABC": 7}))
    assert Tokenizer.load(tmp_path).encode("ABAABCB") == [6, 3, 7, 4]


def test_a_letter_that_is_unknown_is_named_where_nothing_stands_for_it(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps({"<pad>": 0, "|": 1, "a": 2}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"unk_token": None}))
    with pytest.raises(ValueError, match="'z' is not in the vocabulary"):
        Tokenizer.load(tmp_path).encode("az")


@pytest.mark.parametrize(("lower", "unknown"), list(itertools.product([True, False], ["<unk>", None])))
def test_a_saved_vocabulary_is_the_same_here_and_in_transformers(
    tmp_path: Path, lower: bool, unknown: str | None
) -> None:
    vocab = VOCAB if unknown else {"<pad>": 0, "|": 1, "A": 2}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    document = {"do_lower_case": lower, "unk_token": unknown, "bos_token": None, "eos_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(document))
    tokenizer = Tokenizer.load(tmp_path)
    (tmp_path / "saved").mkdir()
    tokenizer.save(tmp_path / "saved")
    assert Tokenizer.load(tmp_path / "saved") == tokenizer
    theirs = Wav2Vec2CTCTokenizer.from_pretrained(str(tmp_path / "saved"))
    assert theirs.get_vocab() == {token: id for id, token in enumerate(tokenizer.tokens)}
    assert theirs.do_lower_case == lower
