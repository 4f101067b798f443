"""What a batch of logits says: text, words and letters of each recording, with their times.

Letters in shapes: B recordings, T frames, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import FRAMES_PER_SECOND, Seconds
from pipeline.text.ctc import DECIMALS, best_path, known, words_of
from pipeline.text.tokenizer import Tokenizer
from pipeline.text.words import Word, text_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Letter:
    """One token of the best path that is no blank."""

    letter: str
    """Its text; the separator for a word delimiter."""
    start: Seconds
    """Start of the first frame in which it is the best, counted from the start of the recording."""
    end: Seconds
    """End of the last frame of the same run."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one recording says."""

    text: str
    words: tuple[Word, ...]
    letters: tuple[Letter, ...]


def batch_decode(logits: torch.Tensor, lengths: Sequence[int], tokenizer: Tokenizer) -> list[Transcript]:
    """Greedy transcripts of padded logits (B, T, V), of which each recording has so many frames."""
    ids, log_probs = (tensor.cpu().numpy() for tensor in best_path(logits))
    rows = zip(ids, log_probs, lengths, strict=True)
    return [_transcript(row[:length], sure[:length], tokenizer) for row, sure, length in rows]


def letters_of(ids: NDArray[np.int32], tokenizer: Tokenizer) -> list[Letter]:
    """The runs of one token of a best path (T,), without blanks."""
    ids = known(ids, tokenizer)
    # (T,) -> (runs,) first frames, and the frames after the last
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    ends = np.append(starts[1:], len(ids))
    heard = ids[starts] != tokenizer.blank_id
    times = (np.round(frames[heard] / FRAMES_PER_SECOND, DECIMALS).tolist() for frames in (starts, ends[: len(starts)]))
    spelled = (tokenizer.spell(id) for id in ids[starts[heard]].tolist())
    return [Letter(*values) for values in zip(spelled, *times, strict=True)]


def _transcript(ids: NDArray[np.int32], log_probs: NDArray[np.float32], tokenizer: Tokenizer) -> Transcript:
    words = words_of(ids, log_probs, tokenizer)
    text = text_of(words, separator=tokenizer.separator)
    return Transcript(text, tuple(words), tuple(letters_of(ids, tokenizer)))
