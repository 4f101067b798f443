"""What attention adds to scores by distance.

Letters: N packed frames, H heads, D channels of a head, R distances, L frames of the longest document.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

_FEWEST_BITS = 7
"""A whole table reaches at least 2 ** 7 - 1 frames either way."""


@dataclass(frozen=True, slots=True)
class DistanceBias:
    """What a query adds to its score with a key, by the distance key - query clipped to -left..right.

    Source: Shaw et al. 2018, arXiv 1803.02155.
    """

    table: Tensor
    """(N, H, R) with R = left + 1 + right: a bias by (query, distance), never by (query, key)."""
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class UnclippedBias:
    """What a query adds to its score with a key, by a distance that is not clipped: its product with a vector.

    The table of all queries would grow as N * H * 2 L, so the plain form makes it block by block.
    """

    queries: Tensor
    """(N, H, D)"""
    distances: Tensor
    """(R, H, D), R = 2 L - 1: a vector for each distance key - query, 1 - L to L - 1; L is the longest document."""

    def whole(self) -> DistanceBias:
        """The table of all queries, its reach rounded up so that batches differ in few widths."""
        reach = len(self.distances) // 2
        room = 2 ** max(_FEWEST_BITS, reach.bit_length()) - 1 - reach
        distances = F.pad(self.distances, (0, 0, 0, 0, room, room))
        # (H, N, D) @ (H, D, R) -> (N, H, R)
        table = (self.queries.transpose(0, 1) @ distances.permute(1, 2, 0)).transpose(0, 1)
        return DistanceBias(table, reach + room, reach + room)


Bias = DistanceBias | UnclippedBias
