"""CTC greedy decoding: the best token of every frame, and the words that these spell.

Letters in shapes: T frames, V tokens of the vocabulary.

Only what is given logits loads torch: workers that read and commit start sooner without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import FRAMES_PER_SECOND, Seconds
from pipeline.errors import UserError
from pipeline.text.tokenizer import Tokenizer
from pipeline.text.words import Word

if TYPE_CHECKING:
    import torch

DECIMALS = 6
"""Times are rounded to microseconds: frame 7 is 0.14, and a frame seen from two spans has one time."""


def best_path(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The best token of every frame and its log probability, on the device of the logits.

    Args:
        logits: (..., V) of any float type; the sums are float32.

    Returns:
        ids (...) int32 and log_probs (...) float32, natural logarithm.
    """
    logits = logits.float()
    peak, ids = logits.max(dim=-1)
    # against the peak itself, for peak - logsumexp loses the digits that two large numbers share
    return ids.int(), -(logits - peak.unsqueeze(-1)).exp().sum(dim=-1).log()


def ctc_decode(logits: torch.Tensor | NDArray[np.floating], tokenizer: Tokenizer) -> list[Word]:
    """The words of one recording from its logits (T, V).

    Raises:
        UserError: the logits are not (T, V), or not of this vocabulary.
    """
    import torch

    frames = torch.as_tensor(logits)
    if frames.ndim != 2:
        raise UserError(f"ctc_decode takes logits of one recording, (T, V); these are {tuple(frames.shape)}.")
    if frames.shape[1] <= tokenizer.blank_id:
        raise UserError(
            f"the logits have {frames.shape[1]} classes, but the blank of this vocabulary is "
            f"number {tokenizer.blank_id}. Load the tokenizer of the same checkpoint."
        )
    ids, log_probs = best_path(frames)
    return words_of(ids.cpu().numpy(), log_probs.cpu().numpy(), tokenizer)


def words_of(
    ids: NDArray[np.int32],
    log_probs: NDArray[np.float32],
    tokenizer: Tokenizer,
    *,
    offset: Seconds = 0.0,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> list[Word]:
    """The words of a best path: runs of one token count once, blanks vanish, delimiters end words.

    Args:
        ids: (T,) best token of every frame.
        log_probs: (T,) its natural log probability.
        tokenizer: the vocabulary of the checkpoint.
        offset: time of the start of the first frame.
        frames_per_second: of the path.

    Returns:
        Words in order. A word starts where its first emitting frame starts and ends where its last one ends;
        an emitting frame is one whose best token is neither the blank nor a delimiter, repetitions included.
    """
    ids = known(np.asarray(ids), tokenizer)
    silent, delimiter = _kinds(tokenizer)
    # (T,) -> (E,) frames that emit a token of a word
    emitting = np.flatnonzero(~silent[ids])
    if emitting.size == 0:
        return []
    # (E,) -> (W + 1,) positions in `emitting` where a word begins, and the end of the last
    passed = np.cumsum(delimiter[ids])[emitting]
    bounds = np.flatnonzero(np.diff(passed, prepend=-1, append=passed[-1] + 1))
    starts = np.round(offset + emitting[bounds[:-1]] / frames_per_second, DECIMALS)
    ends = np.round(offset + (emitting[bounds[1:] - 1] + 1) / frames_per_second, DECIMALS)
    means = np.add.reduceat(log_probs[emitting].astype(np.float64), bounds[:-1]) / np.diff(bounds)
    confidences = np.minimum(np.exp(means), 1.0)
    spelled = _spell(ids, emitting, bounds, tokenizer)
    columns = zip(spelled, starts.tolist(), ends.tolist(), confidences.tolist(), strict=True)
    return [Word(*values) for values in columns if values[0]]


def known(ids: NDArray[np.int32], tokenizer: Tokenizer) -> NDArray[np.int32]:
    """(T,) -> (T,): ids beyond the vocabulary become the unknown token, or the blank where there is none."""
    instead = tokenizer.blank_id if tokenizer.unknown_id is None else tokenizer.unknown_id
    inside: NDArray[np.int32] = np.where(ids < len(tokenizer.tokens), ids, instead)
    return inside


def _kinds(tokenizer: Tokenizer) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of every token of the vocabulary: is it no part of a word, and does it end a word."""
    delimiter = np.array([t == tokenizer.word_delimiter or t.isspace() for t in tokenizer.tokens])
    silent = delimiter.copy()
    silent[tokenizer.blank_id] = True
    return silent, delimiter


def _spell(
    ids: NDArray[np.int32], emitting: NDArray[np.intp], bounds: NDArray[np.intp], tokenizer: Tokenizer
) -> list[str]:
    """The text of each word: of a run of frames with one token only the first one spells it."""
    changed = np.diff(ids, prepend=-1) != 0
    first = changed[emitting]
    # (W + 1,) in frames -> (W + 1,) in letters
    edges = np.concatenate(([0], np.cumsum(first)))[bounds].tolist()
    letters = [tokenizer.tokens[id] for id in ids[emitting[first]].tolist()]
    words = ["".join(letters[a:b]).strip() for a, b in zip(edges, edges[1:], strict=False)]
    return [word.lower() for word in words] if tokenizer.lower_case else words
