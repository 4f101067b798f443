"""How attention knows positions: one module for each position type.

Letters: N packed frames, H heads, D channels of a head, R distances.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.packed_attention import DistanceBias


class RelativeKey(nn.Module):
    """A learned vector for each clipped distance, which the query meets as it meets a key (`relative_key`).

    Source: Shaw et al. 2018, arXiv 1803.02155, equation 4, with key - query clipped to -left..right.
    """

    def __init__(self, head_size: int, *, left: int, right: int) -> None:
        super().__init__()
        self.left, self.right = left, right
        # (R, D)
        self.weight = nn.Parameter(torch.empty(left + 1 + right, head_size))

    def forward(self, queries: Tensor) -> DistanceBias:
        """(N, H, D) -> table (N, H, R): each query meets each distance once, whatever the number of keys."""
        scale = queries.shape[-1] ** -0.5
        return DistanceBias(queries @ (self.weight * scale).T, self.left, self.right)
