"""The vocabulary of a CTC checkpoint, as `vocab.json` and `tokenizer_config.json` describe it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import documents
from pipeline.errors import UserError

CLASSES = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer")
"""Tokenizers with this meaning of a vocabulary; others (phonemes, sentence pieces) would give wrong text."""

SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "word_delimiter_token": "|",
}
"""Special tokens where the configuration is silent, in the order in which absent ones get the next ids."""


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """Which text each class of a CTC model stands for."""

    tokens: tuple[str, ...]
    """Token of every id: the vocabulary, then tokens added to it, then special tokens that are in neither."""
    blank_id: int
    """Id of the pad token, which is the CTC blank."""
    unknown_id: int | None
    """Id that stands for ids beyond `tokens`; None where the checkpoint has no unknown token."""
    word_delimiter: str | None
    """Token that ends a word; None where the checkpoint knows no words: all tokens are then one word."""
    separator: str = " "
    """What the text shows between two words."""
    lower_case: bool = False
    """Whether the text is put into lower case."""

    @classmethod
    def load(cls, path: str | Path, *, language: str | None = None) -> Tokenizer:
        """Read the vocabulary of a checkpoint folder.

        Args:
            path: a folder with `vocab.json`, and `tokenizer_config.json` where it differs from the defaults.
            language: which vocabulary of a nested, many-language one; default its `target_lang`.

        Raises:
            UserError: a file is missing or unreadable, or the files contradict each other.
        """
        folder = Path(path)
        settings = _settings(folder)
        special = {name: _token(settings.get(name, default)) for name, default in SPECIAL.items()}
        vocab = _vocab(folder, language or settings.get("target_lang"))
        tokens = _tokens(folder, vocab | _added(folder, settings, vocab))
        pad, delimiter, unknown = (special[n] for n in ("pad_token", "word_delimiter_token", "unk_token"))
        _check_blank(folder, tokens, pad, delimiter)
        separator = settings.get("replace_word_delimiter_char")
        tokens += tuple(dict.fromkeys(t for t in special.values() if t is not None and t not in tokens))
        _check_text(folder, (*tokens, separator or ""))
        return cls(
            tokens=tokens,
            blank_id=tokens.index(pad),
            unknown_id=None if unknown is None else tokens.index(unknown),
            word_delimiter=delimiter,
            separator=" " if separator is None else separator,
            lower_case=bool(settings.get("do_lower_case", False)),
        )

    def spell(self, id: int) -> str:
        """The text of one id: the separator for a word delimiter."""
        token = self.separator if self.tokens[id] == self.word_delimiter else self.tokens[id]
        return token.lower() if self.lower_case else token

    def encode(self, text: str) -> list[int]:
        """Ids of a text's letters, spaces as word delimiters; a token of several letters is found before its letters.

        A vocabulary whose texts are put into lower case is one of capitals: the text is put into capitals first.

        Raises:
            ValueError: a letter is not in the vocabulary, and there is no unknown token to stand for it.
        """
        ids = {token: id for id, token in enumerate(self.tokens)}
        longer = sorted((token for token in self.tokens if len(token) > 1), key=len, reverse=True)
        pattern = "|".join([*map(re.escape, longer), "."])
        if self.lower_case:
            text = text.upper()
        if self.word_delimiter is not None:
            text = text.replace(" ", self.word_delimiter)
        found = re.findall(pattern, text, flags=re.DOTALL)
        if self.unknown_id is not None:
            return [ids.get(token, self.unknown_id) for token in found]
        missing = [token for token in found if token not in ids]
        if missing:
            raise ValueError(f"{missing[0]!r} is not in the vocabulary, which has no unknown token: {text[:60]!r}")
        return [ids[token] for token in found]

    def save(self, path: str | Path) -> None:
        """Write `vocab.json` and `tokenizer_config.json` into a folder, as `load` and transformers read them."""
        folder = Path(path)
        vocab = {token: id for id, token in enumerate(self.tokens)}
        settings = {
            "tokenizer_class": CLASSES[0], "pad_token": self.tokens[self.blank_id],
            "unk_token": None if self.unknown_id is None else self.tokens[self.unknown_id],
            "word_delimiter_token": self.word_delimiter, "replace_word_delimiter_char": self.separator,
            "do_lower_case": self.lower_case,
            **{name: SPECIAL[name] if SPECIAL[name] in vocab else None for name in ("bos_token", "eos_token")},
        }  # fmt: skip
        for name, content in (("vocab.json", vocab), ("tokenizer_config.json", settings)):
            (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _settings(folder: Path) -> dict[str, Any]:
    """`special_tokens_map.json` below `tokenizer_config.json`; either may be absent."""
    older = _read(folder / "special_tokens_map.json") or {}
    settings = older | (_read(folder / "tokenizer_config.json") or {})
    given = settings.get("tokenizer_class")
    if given is not None and given not in CLASSES:
        raise UserError(
            f"{folder}: tokenizer_config.json says tokenizer_class={given!r}; "
            f"Voxmill reads the vocabularies of {CLASSES[0]}."
        )
    for name in ("target_lang", "replace_word_delimiter_char"):
        if not isinstance(settings.get(name), str | None):
            raise UserError(f"{folder}: tokenizer_config.json says {name}={settings[name]!r}; it must be text.")
    return settings


def _vocab(folder: Path, language: str | None) -> dict[str, Any]:
    """The flat vocabulary, token -> id."""
    vocab = _read(folder / "vocab.json")
    if vocab is None:
        raise UserError(
            f"{folder}: vocab.json is missing, so the model's outputs have no text. "
            "Copy it from where the checkpoint was trained (it is saved with the processor)."
        )
    nested = bool(vocab) and all(isinstance(value, dict) for value in vocab.values())
    if not nested:
        return vocab
    if language not in vocab:
        names = ", ".join(sorted(vocab)[:8]) + (", …" if len(vocab) > 8 else "")
        raise UserError(
            f"{folder}: vocab.json holds {len(vocab)} languages ({names}), and target_lang is {language!r}. "
            "Name one of them as target_lang in tokenizer_config.json."
        )
    flat: dict[str, Any] = vocab[language]
    return flat


def _added(folder: Path, settings: Mapping[str, Any], vocab: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens that were added beside the vocabulary, token -> id; the vocabulary's own entries win."""
    _check_ids(folder, "vocab.json", vocab)
    listed = settings.get("added_tokens_decoder") or {}
    if not isinstance(listed, dict) or not all(id.isascii() and id.isdecimal() and len(id) < 19 for id in listed):
        raise UserError(f"{folder}: tokenizer_config.json must map ids to tokens under added_tokens_decoder.")
    added: dict[str, Any] = {str(_token(entry)): int(id) for id, entry in listed.items()}
    added |= _read(folder / "added_tokens.json") or {}
    _check_ids(folder, "added_tokens.json", added)
    taken = set(vocab.values())
    return {token: id for token, id in added.items() if token not in vocab and id not in taken}


def _check_ids(folder: Path, name: str, ids: Mapping[str, Any]) -> None:
    wrong = [token for token, id in ids.items() if not isinstance(id, int) or isinstance(id, bool)]
    if wrong:
        raise UserError(f"{folder}: {name} must give each token an integer id; {wrong[0]!r} has {ids[wrong[0]]!r}.")


def _tokens(folder: Path, ids: Mapping[str, Any]) -> tuple[str, ...]:
    """Tokens in the order of their ids, which must be 0, 1, 2, … without gap or repetition."""
    ordered = sorted(ids, key=lambda token: ids[token])
    for expected, token in enumerate(ordered):
        if ids[token] != expected:
            raise UserError(
                f"{folder}: the {len(ordered)} tokens of vocab.json must have the ids "
                f"0 to {len(ordered) - 1}, each once; {token!r} has {ids[token]} where {expected} should "
                "follow. Take vocab.json from the checkpoint that the weights belong to."
            )
    return tuple(ordered)


def _check_text(folder: Path, spelled: Iterable[str]) -> None:
    """One half of a surrogate pair would be refused by the table only once a whole unit was heard."""
    for each in spelled:
        if not documents.is_text(each):
            raise UserError(
                f"{folder}: vocab.json or tokenizer_config.json has {each!r}, which is half of a character and no "
                "text. Take both files from the checkpoint that the weights belong to."
            )


def _check_blank(folder: Path, tokens: tuple[str, ...], pad: str | None, delimiter: str | None) -> None:
    """The pad token is the CTC blank: without it, or with it as a delimiter, no text is right."""
    if pad not in tokens:
        raise UserError(
            f"{folder}: the pad token {pad!r}, which is the CTC blank, is not in vocab.json. "
            "Name the right pad_token in tokenizer_config.json."
        )
    if pad == delimiter:
        raise UserError(
            f"{folder}: tokenizer_config.json names {pad!r} as pad_token and as word_delimiter_token; they must differ."
        )


def _token(value: object) -> str | None:
    """A token's text; configurations write it as a string or as an object with `content`."""
    content = value.get("content") if isinstance(value, dict) else value
    return None if content is None else str(content)


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object, None where there is no such file."""
    try:
        content = documents.load(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: must be a JSON file that can be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: must hold a JSON object, found {type(content).__name__}.")
    return content
