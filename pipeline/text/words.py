"""What a recording says: its words, their text, and how sure the model was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.corpus import Seconds


@dataclass(frozen=True, slots=True)
class Word:
    """One word, when it was said, and how sure the model was of it."""

    word: str
    start: Seconds
    """Start of the first frame that emits one of its tokens, counted from the start of the recording."""
    end: Seconds
    """End of the last frame that emits one of its tokens; after `start`, not after the next word's start."""
    confidence: float
    """Geometric mean, 0 to 1, of the best token's probability over all frames that emit the word's tokens."""

    @property
    def middle(self) -> Seconds:
        """The moment that decides which of two neighbouring spans the word belongs to."""
        return (self.start + self.end) / 2


def text_of(words: Sequence[Word], *, separator: str = " ") -> str:
    """The words joined into the text of a recording: '' without words."""
    return separator.join(word.word for word in words)


def confidence_of(words: Sequence[Word]) -> float | None:
    """Mean of the words' confidences, weighted by their durations: 0 to 1, None without words."""
    if not words:
        return None
    durations = [word.end - word.start for word in words]
    total = sum(durations)
    if total <= 0:  # every word was clipped to a point at the end of its recording
        return sum(word.confidence for word in words) / len(words)
    return sum(word.confidence * duration for word, duration in zip(words, durations, strict=True)) / total
