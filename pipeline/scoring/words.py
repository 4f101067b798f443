"""How far transcripts are from references: word and character error counts."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import jiwer

from pipeline.errors import UserError


@dataclass(frozen=True, slots=True)
class EditCounts:
    """The fewest edits that turn some references into their transcripts."""

    length: int
    """Words, or characters, of the references."""
    substitutions: int
    insertions: int
    deletions: int

    @property
    def errors(self) -> int:
        """Words, or characters, that must be changed, added or removed."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float | None:
        """Error rate, a fraction that may exceed 1; None where the references are empty."""
        return self.errors / self.length if self.length else None


class WordErrors(EditCounts):
    """Edits of words."""

    __slots__ = ()

    @property
    def words(self) -> int:
        """Words of the references."""
        return self.length


class CharacterErrors(EditCounts):
    """Edits of characters: Unicode code points, the single spaces between words among them."""

    __slots__ = ()


Counts = TypeVar("Counts", WordErrors, CharacterErrors)


def normalise(text: str) -> str:
    """Lower case, words parted by one space, letters with their accents as one; nothing else: punctuation counts."""
    # A decomposed letter looks the same, but would be a wrong word: names of files on a Mac are written so.
    return " ".join(unicodedata.normalize("NFC", text.lower()).split())


def word_errors(references: Sequence[str], transcripts: Sequence[str]) -> WordErrors:
    """Count the word errors of transcripts against their references, both normalised.

    Raises:
        UserError: there are not as many transcripts as references.
    """
    return word_total(word_errors_each(references, transcripts))


def character_errors(references: Sequence[str], transcripts: Sequence[str]) -> CharacterErrors:
    """Count the character errors of transcripts against their references, both normalised.

    Raises:
        UserError: there are not as many transcripts as references.
    """
    return _total(CharacterErrors, [_characters(r, t) for r, t in _pairs(references, transcripts)])


def word_total(each: Sequence[WordErrors]) -> WordErrors:
    """The counts of several recordings together."""
    return _total(WordErrors, each)


def word_errors_each(references: Sequence[str], transcripts: Sequence[str]) -> list[WordErrors]:
    """Word errors of each pair by itself, in order; raises as `word_errors`."""
    return [_words(r, t) for r, t in _pairs(references, transcripts)]


def _pairs(references: Sequence[str], transcripts: Sequence[str]) -> list[tuple[str, str]]:
    if len(references) != len(transcripts):
        raise UserError(
            f"each reference needs one transcript: {len(references)} references, {len(transcripts)} "
            "transcripts. Leave out the recordings that have no transcript from both."
        )
    return [(normalise(r), normalise(t)) for r, t in zip(references, transcripts, strict=True)]


def _words(reference: str, transcript: str) -> WordErrors:
    found = jiwer.process_words(reference, transcript)
    return WordErrors(len(reference.split()), found.substitutions, found.insertions, found.deletions)


def _characters(reference: str, transcript: str) -> CharacterErrors:
    found = jiwer.process_characters(reference, transcript)
    return CharacterErrors(len(reference), found.substitutions, found.insertions, found.deletions)


def _total(kind: type[Counts], each: Sequence[Counts]) -> Counts:
    return kind(
        sum(one.length for one in each),
        sum(one.substitutions for one in each),
        sum(one.insertions for one in each),
        sum(one.deletions for one in each),
    )
