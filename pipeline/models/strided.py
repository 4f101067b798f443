"""Convolutions that give fewer frames than they take, over packed documents.

Letters: N packed frames, M packed frames afterwards, K frames of a window, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.models.layout import Packed


@dataclass(frozen=True, slots=True)
class Windows:
    """Which frames of a document a convolution sees for each frame that it gives."""

    size: int
    """K."""
    stride: int = 1
    """Frames from one window to the next."""
    dilation: int = 1
    """Frames from one of a window to its next."""
    padding: int = 0
    """Frames of zeros before and after each document."""

    def length(self, num_frames: int) -> int:
        """Count the windows of a document; none where it is shorter than one, or empty."""
        span = self.dilation * (self.size - 1) + 1
        return max(0, (num_frames + 2 * self.padding - span) // self.stride + 1) if num_frames else 0

    def gather(self, frames: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
        """(N, d) -> (M, K, d) and the layout of M; documents without a window are left out of it."""
        kept = [number for number, length in enumerate(layout.lengths) if self.length(length)]
        shorter = Packed(tuple(self.length(layout.lengths[number]) for number in kept), layout.device)
        lengths = torch.tensor(layout.lengths, dtype=torch.int64, device=layout.device)
        document = torch.tensor(kept, dtype=torch.int64, device=layout.device)[shorter.documents]
        taps = torch.arange(self.size, device=layout.device) * self.dilation - self.padding
        # (M, 1) + (K,) -> (M, K), frame of its document
        wanted = shorter.positions[:, None] * self.stride + taps
        beyond = (wanted < 0) | (wanted >= lengths[document, None])
        first = (lengths.cumsum(0) - lengths)[document, None]
        rows = (first + wanted).masked_fill(beyond, 0)
        return frames[rows].masked_fill(beyond[..., None], 0.0), shorter
