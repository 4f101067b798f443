"""What models return.

Letters: M packed frames that the model gives, N unless an adapter leaves fewer; B recordings padded to T' such frames;
C documents.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """Hidden states without a head.

    From packed features the leading dimension is M, all frames of all documents end to end; from padded ones it is
    B, T', and frames from a recording's length on are 0 and mean nothing.
    """

    hidden_state: Tensor
    """(..., d) what the encoder's last block, or the adapter, gave."""
    lengths: tuple[int, ...]
    """Frames out of each document or recording; 0 where it was too short for the adapter."""


@dataclass(frozen=True, slots=True)
class FrameOutput:
    """Scores of every frame, of tokens (CTC) or of classes; laid out as `EncoderOutput` is."""

    logits: Tensor
    """(..., V) unnormalised scores."""
    hidden_state: Tensor
    """(..., d) what the head saw, in training of a CTC head before its dropout."""
    lengths: tuple[int, ...]
    """Frames out of each document or recording; 0 where it was too short for the adapter."""


@dataclass(frozen=True, slots=True)
class ClassOutput:
    """Scores of every recording, or document; NaN where it has no frames."""

    logits: Tensor
    """(B or C, labels) unnormalised scores of the classes."""


@dataclass(frozen=True, slots=True)
class EmbeddingOutput:
    """A vector for every recording, or document; NaN where it is shorter than two windows of the TDNN need."""

    embeddings: Tensor
    """(B or C, E) to compare speakers with."""
    logits: Tensor
    """(B or C, E) what training compares with the vectors of its classes."""
