"""The vocabulary is read as `transformers` reads it, and a wrong one is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers import Wav2Vec2CTCTokenizer

from pipeline.errors import UserError
from pipeline.text import Tokenizer

LETTERS = {"<pad>": 0, "<unk>": 1, "|": 2, "a": 3, "b": 4}


def folder_of(path: Path, vocab: object, config: object = None, **others: object) -> Path:
    for name, content in {"vocab": vocab, "tokenizer_config": config, **others}.items():
        if content is not None:
            (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_demo_checkpoint(checkpoint: Path) -> None:
    tokenizer = Tokenizer.load(checkpoint)
    assert "".join(tokenizer.tokens) == "<pad><unk>|efghinorstuvwxz"
    assert (tokenizer.blank_id, tokenizer.unknown_id, tokenizer.word_delimiter) == (0, 1, "|")
    assert (tokenizer.separator, tokenizer.lower_case) == (" ", False)


CONFIGURATIONS: list[tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]] = [
    (LETTERS, None, {}),
    (LETTERS, {"bos_token": None, "eos_token": None}, {}),
    ({"a": 0, "b": 1, "|": 2, "[UNK]": 3, "[PAD]": 4}, {"pad_token": "[PAD]", "unk_token": "[UNK]"}, {}),
    ({"a": 0, "[PAD]": 1}, {"pad_token": {"content": "[PAD]", "__type": "AddedToken", "lstrip": False}}, {}),
    ({"a": 0, "[PAD]": 1}, {}, {"special_tokens_map": {"pad_token": "[PAD]"}}),
    ({"a": 0, "[PAD]": 1}, {"pad_token": "[PAD]"}, {"added_tokens": {"<s>": 2, "</s>": 3}}),
    ({"a": 0, "[PAD]": 1}, {"pad_token": "[PAD]"}, {"added_tokens": {"</s>": 2, "<s>": 3}}),
    ({"eng": LETTERS, "fra": {"<pad>": 0, "|": 1, "é": 2}}, {"target_lang": "fra"}, {}),
]


@pytest.mark.parametrize(("vocab", "config", "others"), CONFIGURATIONS)
def test_every_id_has_the_token_that_transformers_gives_it(
    tmp_path: Path, vocab: dict[str, Any], config: dict[str, Any] | None, others: dict[str, Any]
) -> None:
    folder = folder_of(tmp_path, vocab, config, **others)
    theirs = Wav2Vec2CTCTokenizer.from_pretrained(str(folder))
    ours = Tokenizer.load(folder)
    assert dict(zip(ours.tokens, range(100), strict=False)) == theirs.get_vocab()
    assert ours.blank_id == theirs.pad_token_id
    assert ours.unknown_id == theirs.unk_token_id


def test_what_transformers_saves_is_read_back(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"a": 0, "[PAD]": 1, "|": 2}, {"pad_token": "[PAD]", "do_lower_case": True})
    theirs = Wav2Vec2CTCTokenizer.from_pretrained(str(folder))
    theirs.save_pretrained(str(tmp_path / "saved"))
    assert Tokenizer.load(tmp_path / "saved") == Tokenizer.load(folder)


def test_a_language_can_be_chosen(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"eng": LETTERS, "fra": {"<pad>": 0, "|": 1, "é": 2}}, {"target_lang": "eng"})
    assert "é" in Tokenizer.load(folder, language="fra").tokens
    assert "é" not in Tokenizer.load(folder).tokens


@pytest.mark.parametrize(
    ("vocab", "config", "message"),
    [
        (None, None, r"vocab\.json is missing"),
        ([1, 2], None, r"vocab\.json: must hold a JSON object, found list"),
        ({"<pad>": 0, "a": 2}, None, r"ids 0 to 1, each once; 'a' has 2 where 1 should follow"),
        ({"<pad>": 0, "a": 0}, None, r"'a' has 0 where 1 should follow"),
        ({"<pad>": -1, "a": 0}, None, r"'<pad>' has -1 where 0 should follow"),
        ({"<pad>": 0, "a": True}, None, r"an integer id; 'a' has True"),
        ({"<pad>": 0, "a": "1"}, None, r"an integer id; 'a' has '1'"),
        ({"a": 0, "|": 1}, None, r"pad token '<pad>'.* is not in vocab\.json\. Name the right pad_token"),
        (LETTERS, {"pad_token": None}, r"pad token None"),
        (LETTERS, {"pad_token": "[PAD]"}, r"pad token '\[PAD\]'"),
        (
            LETTERS,
            {"word_delimiter_token": "<pad>"},
            r"names '<pad>' as pad_token and as word_delimiter_token",
        ),
        (LETTERS, {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}, r"tokenizer_class='Wav2Vec2Phoneme"),
        ({"eng": LETTERS, "fra": LETTERS}, None, r"holds 2 languages \(eng, fra\), and target_lang is None"),
        ({}, None, r"pad token '<pad>'"),
        (LETTERS | {"\ud83d": 5}, None, r"has '\\ud83d', which is half of a character"),
        (LETTERS, {"bos_token": "<\udc00>"}, r"has '<\\udc00>', which is half of a character"),
        (LETTERS, {"replace_word_delimiter_char": "\udfff"}, r"has '\\udfff', which is half of a character"),
    ],
)
def test_a_wrong_vocabulary_is_one_line(tmp_path: Path, vocab: object, config: object, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Tokenizer.load(folder_of(tmp_path, vocab, config))
    assert str(caught.value).startswith(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_what_the_vocabulary_says_of_an_id_wins_over_a_token_that_was_added(tmp_path: Path) -> None:
    added = {"added_tokens_decoder": {"1": {"content": "<other>"}, str(len(LETTERS)): {"content": "<more>"}}}
    tokens = Tokenizer.load(folder_of(tmp_path, LETTERS, added)).tokens
    assert tokens[: len(LETTERS) + 1] == (*LETTERS, "<more>")


def test_special_tokens_of_an_older_checkpoint_are_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, {"[PAD]": 0, "a": 1})
    (folder / "special_tokens_map.json").write_text('{"pad_token": {"content": "[PAD]"}}')
    assert Tokenizer.load(folder).tokens[0] == "[PAD]"


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_bytes(b'{"a": 0, \xff')
    with pytest.raises(UserError, match=r"vocab\.json: must be a JSON file that can be read"):
        Tokenizer.load(tmp_path)


def test_text_loads_neither_transformers_nor_ray() -> None:
    code = "import sys, pipeline.text; assert not {'ray', 'transformers', 'fsspec'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
