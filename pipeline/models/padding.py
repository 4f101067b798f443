"""Between padded batches, which callers have, and packed ones, which layers take.

Letters: B recordings padded to T frames, N packed frames, C features of a frame, X channels of any kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pack(features: Tensor, lengths: Tensor | Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
    """(B, T, C) -> (N, C), and the frames of each recording as numbers; some may be 0.

    Raises:
        ValueError: for shapes or lengths that do not fit together.
    """
    counts = tuple(int(length) for length in lengths)
    if features.ndim != 3 or len(counts) != len(features):
        raise ValueError(f"features must be (B, T, C), lengths (B,); got {tuple(features.shape)} and ({len(counts)},)")
    if not all(0 <= count <= features.shape[1] for count in counts):
        raise ValueError(f"lengths must be 0 to {features.shape[1]}, the frames given, got {list(counts)}")
    return features[_valid(counts, features.shape[1], features.device)], counts


def pad(packed: Tensor, lengths: Sequence[int], num_frames: int) -> Tensor:
    """(N, X) -> (B, `num_frames`, X) with zeros from each length on."""
    out = packed.new_zeros(len(lengths), num_frames, packed.shape[-1])
    out[_valid(lengths, num_frames, packed.device)] = packed
    return out


def _valid(lengths: Sequence[int], num_frames: int, device: torch.device) -> Tensor:
    """Which frames lie before each length, (B, T) bool."""
    return torch.arange(num_frames, device=device) < torch.tensor(lengths, device=device)[:, None]
