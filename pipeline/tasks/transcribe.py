"""Transcription: best paths become the columns `text`, `confidence` and `words`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.corpus import Seconds
from pipeline.errors import ErrorRow
from pipeline.text import Tokenizer, Word, best_path, confidence_of, text_of, words_of

if TYPE_CHECKING:
    import torch

NAME: Final = "transcribe"
OUTPUT_VERSION: Final = 1

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
class Heard:
    """What the model heard in one row's audio, and where that lies in its recording."""

    ids: NDArray[np.int32]
    """(T,) best token of every frame, context included."""
    log_probs: NDArray[np.float32]
    """(T,) its natural log probability."""
    offset: Seconds = 0.0
    """Time of the start of the first frame, counted from the start of the recording."""
    start: Seconds = 0.0
    """First moment that is this row's: no word time is earlier; words whose middle is belong to the span before."""
    audio_end: Seconds | None = None
    """Where the audio ends, counted from the start of the recording: no word time is later; None: unknown."""
    end: Seconds | None = None
    """First moment that is the next span's; None for the last span and for a whole recording."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The task's columns for some recordings, in their order."""

    columns: dict[str, pa.Array]
    """One array for each of `COLUMNS`."""
    errors: dict[int, ErrorRow] = field(default_factory=dict)
    """Faults found here, by position; all columns are null there."""


def reduce(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (T, V) -> best token (T,) int32 and its log probability (T,) float32, on the same device."""
    return best_path(logits)


def rows(heard: Sequence[Heard | None], tokenizer: Tokenizer) -> Rows:
    """The columns of some recordings, one row each, in order.

    Args:
        heard: what the model heard in each; None for a recording that failed before, whose columns are null.
        tokenizer: the vocabulary of the checkpoint.
    """
    errors = {i: _not_finite() for i, one in enumerate(heard) if one is not None and not _finite(one)}
    words = [None if one is None or i in errors else words_in(one, tokenizer) for i, one in enumerate(heard)]
    values: dict[str, list[Any]] = {
        "text": [None if w is None else text_of(w, separator=tokenizer.separator) for w in words],
        "confidence": [None if w is None else confidence_of(w) for w in words],
        "words": [None if w is None else [_struct(word) for word in w] for w in words],
    }
    return Rows({f.name: pa.array(values[f.name], f.type) for f in COLUMNS}, errors)


def words_in(heard: Heard, tokenizer: Tokenizer) -> list[Word]:
    """The words of one row, with times inside the recording.

    A word belongs to the row with start <= middle < end, so that spans, which overlap in context, share none.
    """
    words = words_of(heard.ids, heard.log_probs, tokenizer, offset=heard.offset)
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


def _finite(heard: Heard) -> bool:
    """Whether the model gave numbers for every frame."""
    return bool(np.isfinite(heard.log_probs).all())


def _not_finite() -> ErrorRow:
    """The fault of a recording whose logits hold NaN or infinity."""
    return ErrorRow("model", "not_finite", "the model's output is not a number in some frames; try --dtype float32")
