"""How recordings become batches: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents that the model sees at once."""

    indices: tuple[int, ...]
    """Which documents, as places in the list of lengths that was given."""
    lengths: tuple[int, ...]
    """Their frames, longest first."""

    @property
    def num_frames(self) -> int:
        """Frames that a packed batch computes."""
        return sum(self.lengths)


def batches(lengths: Sequence[int], *, frame_budget: int, sort_by: Sequence[int] | None = None) -> list[Batch]:
    """Cut documents, sorted by length, into batches of at most `frame_budget` frames.

    The longest come first, so that too large a budget fails at once; equal lengths keep the order given.
    A document longer than the budget is a batch of its own. Every document is in exactly one batch.

    Args:
        lengths: frames of each document, each at least 1.
        frame_budget: most frames of one batch, at least 1.
        sort_by: in place of the lengths; windows of one recording, of equal value, stay together and in order.

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
            result.append(_batch(members, lengths))
            members, frames = [], 0
        members.append(index)
        frames += lengths[index]
    if members:
        result.append(_batch(members, lengths))
    return result


def _batch(members: Sequence[int], lengths: Sequence[int]) -> Batch:
    return Batch(tuple(members), tuple(lengths[index] for index in members))
