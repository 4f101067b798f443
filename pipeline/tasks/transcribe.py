"""Transcription: best paths become the columns `text`, `confidence` and `words`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.tasks.heard import Heard, Rows, not_finite
from pipeline.tasks.stretch import Pieces, Stretch
from pipeline.text import Tokenizer, Word, best_path, confidence_of, text_of, words_of

if TYPE_CHECKING:
    import torch

    from pipeline.models.outputs import FrameOutput

NAME: Final = "transcribe"
OUTPUT_VERSION: Final = 1
HEAD: Final = "ctc"

WORD = pa.struct(
    [
        pa.field("word", pa.string()),
        pa.field("start", pa.float64()),
        pa.field("end", pa.float64()),
        pa.field("confidence", pa.float32()),
    ]
)
"""One word; times in seconds from the start of the recording."""

COLUMNS: Final[tuple[pa.Field, ...]] = (
    pa.field("text", pa.string()),
    pa.field("confidence", pa.float32()),
    pa.field("words", pa.list_(WORD)),
)
"""Text is '' and words is empty for silence; all are null in a row with an error."""


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Transcription with the vocabulary of one checkpoint."""

    tokenizer: Tokenizer

    pools: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """What only this task's files have."""
        return COLUMNS

    def pieces(self, stretch: Stretch) -> Pieces:
        """All of it: the head scores every frame."""
        return stretch.whole

    def reduce(self, output: FrameOutput) -> tuple[torch.Tensor, ...]:
        """Logits (T, V) -> best token (T,) int32 and its natural log probability (T,) float32, on the same device."""
        return best_path(output.logits)

    def rows(self, heard: Sequence[Heard | None]) -> Rows:
        """The columns of some recordings, one row each, in order; null where a recording failed before (None)."""
        errors = {i: not_finite() for i, one in enumerate(heard) if one is not None and not one.finite}
        words = [None if one is None or i in errors else words_in(one, self.tokenizer) for i, one in enumerate(heard)]
        separator = self.tokenizer.separator
        values: dict[str, list[Any]] = {
            "text": [None if w is None else text_of(w, separator=separator) for w in words],
            "confidence": [None if w is None else confidence_of(w) for w in words],
            "words": [None if w is None else [_struct(word) for word in w] for w in words],
        }
        return Rows({f.name: pa.array(values[f.name], f.type) for f in COLUMNS}, errors)

    def told(self, row: Mapping[str, Any]) -> str:
        """A row in one line."""
        return row["text"] or "(no words)"


def of(checkpoint: Path, config: RunConfig) -> Transcribe:
    """Make the task of a checkpoint.

    Raises:
        UserError: its vocabulary is missing or damaged.
    """
    return Transcribe(Tokenizer.load(checkpoint))


def words_in(heard: Heard, tokenizer: Tokenizer) -> list[Word]:
    """The words of one row, with times inside the recording.

    A word belongs to the row with start <= middle < end, so that spans, which overlap in context, share none.
    """
    ids, log_probs = heard.columns
    words = words_of(ids.astype(np.int32), log_probs.astype(np.float32), tokenizer, offset=heard.offset)
    end = float("inf") if heard.end is None else heard.end
    kept = [word for word in words if heard.start <= word.middle < end]
    audio_end = float("inf") if heard.audio_end is None else heard.audio_end
    return [_inside(word, heard.start, audio_end) for word in kept]


def _inside(word: Word, first: Seconds, audio_end: Seconds) -> Word:
    """A word may reach past the row's samples, by a frame or over a seam; it then starts and ends with them."""
    if first <= word.start and word.end <= audio_end:
        return word
    start, end = max(word.start, first), min(word.end, audio_end)
    return Word(word.word, min(start, end), end, word.confidence)


def _struct(word: Word) -> dict[str, str | float]:
    """A word as a value of the type `WORD`."""
    return {"word": word.word, "start": word.start, "end": word.end, "confidence": word.confidence}
