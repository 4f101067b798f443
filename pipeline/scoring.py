"""How far transcripts are from references: word error counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from pipeline.errors import UserError


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Word error counts over some recordings."""

    words: int
    """Words of the references."""
    substitutions: int
    insertions: int
    deletions: int

    @property
    def errors(self) -> int:
        """Words that must be changed, added or removed to turn the transcripts into the references."""
        return self.substitutions + self.insertions + self.deletions

    @property
    def rate(self) -> float | None:
        """Word error rate, a fraction that may exceed 1; None without any word in the references."""
        return self.errors / self.words if self.words else None


def normalise(text: str) -> str:
    """Lower case, words parted by one space; nothing else: punctuation counts."""
    return " ".join(text.lower().split())


def word_errors(references: Sequence[str], transcripts: Sequence[str]) -> WordErrors:
    """Count the word errors of transcripts against their references, both normalised.

    Raises:
        UserError: there are not as many transcripts as references.
    """
    if len(references) != len(transcripts):
        raise UserError(
            f"each reference needs one transcript: {len(references)} references, {len(transcripts)} "
            "transcripts. Leave out the recordings that have no transcript from both."
        )
    pairs = [(normalise(r), normalise(t)) for r, t in zip(references, transcripts, strict=True)]
    pairs = [pair for pair in pairs if any(pair)]
    if not pairs:
        return WordErrors(0, 0, 0, 0)
    counts = jiwer.process_words([r for r, _ in pairs], [t for _, t in pairs])
    words = sum(len(r.split()) for r, _ in pairs)
    return WordErrors(words, counts.substitutions, counts.insertions, counts.deletions)
