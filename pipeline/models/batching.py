"""How recordings become batches: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

SizeOf = Callable[[int], int]
"""Frames of some documents -> frames that are computed for them, no fewer."""

_STEP = 128
"""Frames between sizes of small batches: a block of FlexAttention."""
_STEPS_TO_DOUBLE = 32
"""Sizes of large batches between one and twice it: none is larger than its documents by more than 1/32."""


def exact(frames: int) -> int:
    """Compute the documents and nothing else."""
    return frames


def rounded(frames: int) -> int:
    """Round up to one of few sizes: 128 up to 32,768 frames, 32 more for each doubling."""
    lowest = 1 << frames.bit_length() - 1
    step = max(_STEP, lowest // _STEPS_TO_DOUBLE)
    return -(-frames // step) * step


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents that the model sees at once."""

    indices: tuple[int, ...]
    """Which documents, as places in the list of lengths that was given."""
    lengths: tuple[int, ...]
    """Their frames, longest first."""
    filler: int = 0
    """Frames behind them that belong to none, so that batches have few sizes."""

    @property
    def laid(self) -> tuple[int, ...]:
        """Frames of each document of the packed batch, the filler being one of its own."""
        return (*self.lengths, self.filler) if self.filler else self.lengths

    @property
    def num_frames(self) -> int:
        """Frames that a packed batch computes."""
        return sum(self.lengths) + self.filler


def waste(planned: Iterable[Batch]) -> float:
    """Share of all frames computed that belong to no document."""
    counted = [(batch.filler, batch.num_frames) for batch in planned]
    return sum(filler for filler, _ in counted) / max(1, sum(frames for _, frames in counted))


def batches(
    lengths: Sequence[int], *, frame_budget: int, sort_by: Sequence[int] | None = None, size_of: SizeOf = exact
) -> list[Batch]:
    """Cut documents, sorted by length, into batches of at most `frame_budget` frames.

    The longest come first, so that too large a budget fails at once; equal lengths keep the order given.
    A document longer than the budget is a batch of its own. Every document is in exactly one batch.

    Args:
        lengths: frames of each document, each at least 1.
        frame_budget: most frames of one batch, filler included, at least 1.
        sort_by: in place of the lengths; windows of one recording, of equal value, stay together and in order.
        size_of: `rounded` where code is compiled or memory kept for each size of a batch; the budget is a size too.

    Raises:
        ValueError: for a budget below 1.
    """
    if frame_budget < 1:
        raise ValueError(f"frame_budget must be at least 1, got {frame_budget}")
    keys = lengths if sort_by is None else sort_by
    result: list[Batch] = []
    members: list[int] = []
    frames = 0
    for index in sorted(range(len(lengths)), key=lambda i: -keys[i]):
        if members and frames + lengths[index] > frame_budget:
            result.append(_batch(members, lengths, frame_budget, size_of))
            members, frames = [], 0
        members.append(index)
        frames += lengths[index]
    if members:
        result.append(_batch(members, lengths, frame_budget, size_of))
    return result


def _batch(members: Sequence[int], lengths: Sequence[int], frame_budget: int, size_of: SizeOf) -> Batch:
    taken = tuple(lengths[index] for index in members)
    frames = sum(taken)
    # What fits into the budget must fit when it is filled.
    size = min(size_of(frames), frame_budget) if frames <= frame_budget else size_of(frames)
    return Batch(tuple(members), taken, size - frames)
