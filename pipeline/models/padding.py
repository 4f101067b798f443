"""Between padded batches, which callers have, and packed ones, which layers take.

Letters: B recordings padded to T frames, N packed frames, C features of a frame, X channels of any kind; M and T' the
same of a model's output, where an adapter may leave fewer frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.models.layout import Packed


@dataclass(frozen=True, slots=True)
class Unpadded:
    """A padded batch of recordings without its padding."""

    frames: Tensor
    """(N, C)"""
    lengths: tuple[int, ...]
    """Frames of each recording; some may be 0, and are no documents of the layout."""
    width: int
    """T."""

    @classmethod
    def of(cls, features: Tensor, lengths: Tensor | Sequence[int]) -> Unpadded:
        """Take the padding from (B, T, C), given the frames of each recording, 0 to T.

        Raises:
            ValueError: for shapes or lengths that do not fit together.
        """
        counts = tuple(int(length) for length in lengths)
        if features.ndim != 3 or len(counts) != len(features):
            raise ValueError(
                f"features must be (B, T, C), lengths (B,); got {tuple(features.shape)} and ({len(counts)},)"
            )
        width = features.shape[1]
        if not all(0 <= count <= width for count in counts):
            raise ValueError(f"lengths must be 0 to {width}, the frames given, got {list(counts)}")
        return cls(features[_valid(counts, width, features.device)], counts, width)

    def layout(self, device: torch.device) -> Packed:
        """Where the recordings that have frames lie."""
        return Packed(tuple(filter(None, self.lengths)), device)

    def pad(self, packed: Tensor, length: Callable[[int], int]) -> Tensor:
        """(M, X) -> (B, T', X) with zeros beyond; `length` says how many frames the model gives for how many."""
        lengths = tuple(map(length, self.lengths))
        out = packed.new_zeros(len(lengths), length(self.width), packed.shape[-1])
        out[_valid(lengths, length(self.width), packed.device)] = packed
        return out

    def rows(self, of_documents: Tensor) -> Tensor:
        """One row a document -> one row a recording, (B, X), NaN for those without frames."""
        out = of_documents.new_full((len(self.lengths), of_documents.shape[-1]), torch.nan)
        out[torch.tensor(self.lengths, device=out.device) > 0] = of_documents
        return out


def _valid(lengths: Sequence[int], num_frames: int, device: torch.device) -> Tensor:
    """Which frames lie before each length, (B, T) bool."""
    return torch.arange(num_frames, device=device) < torch.tensor(lengths, device=device)[:, None]
