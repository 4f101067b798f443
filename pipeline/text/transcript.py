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
    """Its words, joined; '' without any."""
    words: tuple[Word, ...]
    """In order, with times and confidences."""
    letters: tuple[Letter, ...]
    """In order, word delimiters among them."""


def batch_decode(
    logits: torch.Tensor,
    lengths: Sequence[int],
    tokenizer: Tokenizer,
    *,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> list[Transcript]:
    """Greedy transcripts of padded logits (B, T, V).

    Args:
        logits: of any float type.
        lengths: frames of each recording.
        tokenizer: the vocabulary of the checkpoint.
        frames_per_second: of the logits: 50, or as much less as an adapter or another stride of the features leaves.
    """
    ids, log_probs = (tensor.cpu().numpy() for tensor in best_path(logits))
    rows = zip(ids, log_probs, lengths, strict=True)
    return [_transcript(row[:length], sure[:length], tokenizer, frames_per_second) for row, sure, length in rows]


def letters_of(
    ids: NDArray[np.int32], tokenizer: Tokenizer, *, frames_per_second: float = FRAMES_PER_SECOND
) -> list[Letter]:
    """The runs of one token of a best path (T,), without blanks."""
    ids = known(ids, tokenizer)
    # (T,) -> (runs,) first frames, and the frames after the last
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    ends = np.append(starts[1:], len(ids))
    heard = ids[starts] != tokenizer.blank_id
    times = (np.round(frames[heard] / frames_per_second, DECIMALS).tolist() for frames in (starts, ends[: len(starts)]))
    spelled = (tokenizer.spell(id) for id in ids[starts[heard]].tolist())
    return [Letter(*values) for values in zip(spelled, *times, strict=True)]


def _transcript(
    ids: NDArray[np.int32], log_probs: NDArray[np.float32], tokenizer: Tokenizer, frames_per_second: float
) -> Transcript:
    words = words_of(ids, log_probs, tokenizer, frames_per_second=frames_per_second)
    letters = letters_of(ids, tokenizer, frames_per_second=frames_per_second)
    return Transcript(text_of(words, separator=tokenizer.separator), tuple(words), tuple(letters))
