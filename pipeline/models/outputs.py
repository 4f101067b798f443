"""What models return."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class CtcOutput:
    """Scores of a CTC head, frame by frame.

    From packed features the leading dimension is N, all frames of all documents end to end; from padded ones
    it is B, T, and frames from a recording's length on are 0 in both tensors and mean nothing. An adapter leaves
    fewer frames than came in.
    """

    logits: Tensor
    """(..., V) unnormalised scores of the tokens."""
    hidden_state: Tensor
    """(..., d) what the encoder's last block, or the adapter, gave, and the head saw."""
    lengths: tuple[int, ...]
    """Frames out of each document or recording; 0 where it was too short for the adapter."""
