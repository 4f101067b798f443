"""How attention knows positions: one module for each position type.

Each may turn the frames that queries and keys are made of, shift the queries, and give a bias by distance.

Letters: N packed frames, d channels, H heads, D = d / H channels of a head, R distances, L frames of the longest
document.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.models.biases import Bias, DistanceBias, UnclippedBias
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.config import Config


class Positions(Protocol):
    """What attention asks of a position type."""

    def turn(self, frames: Tensor, layout: Packed) -> Tensor:
        """(N, d) -> (N, d): the frames that queries and keys, but not values, are made of."""
        ...

    def __call__(self, queries: Tensor, layout: Packed) -> tuple[Tensor, Bias | None]:
        """(N, H, D) -> the queries that meet keys (N, H, D), and what they add to scores by distance."""
        ...


class NoPositions(nn.Module):
    """Attention takes a document for a set; the convolutions alone know the order (null)."""

    def turn(self, frames: Tensor, layout: Packed) -> Tensor:
        """Give them back."""
        return frames

    def forward(self, queries: Tensor, layout: Packed) -> tuple[Tensor, None]:
        """(N, H, D) unchanged, and no bias."""
        return queries, None


class RelativeKey(nn.Module):
    """A learned vector for each clipped distance, which the query meets as it meets a key (`relative_key`).

    Source: Shaw et al. 2018, arXiv 1803.02155, equation 4, with key - query clipped to -left..right.
    """

    def __init__(self, head_size: int, *, left: int, right: int) -> None:
        super().__init__()
        self.left, self.right = left, right
        # (R, D)
        self.weight = nn.Parameter(torch.empty(left + 1 + right, head_size))

    def turn(self, frames: Tensor, layout: Packed) -> Tensor:
        """Give them back."""
        return frames

    def forward(self, queries: Tensor, layout: Packed) -> tuple[Tensor, DistanceBias]:
        """(N, H, D) -> table (N, H, R): each query meets each distance once, whatever the number of keys."""
        scale = queries.shape[-1] ** -0.5
        return queries, DistanceBias(queries @ (self.weight * scale).T, self.left, self.right)


class Relative(nn.Module):
    """Sinusoids of the distance, projected to a key for each head; learned biases in place of the query's position.

    Source: Dai et al. 2019, arXiv 1901.02860, section 3.3 (`relative`).
    """

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.linear = nn.Linear(hidden_size, hidden_size, bias=False)
        # (H, D), the paper's u and v
        self.content_bias = nn.Parameter(torch.empty(num_heads, hidden_size // num_heads))
        self.distance_bias = nn.Parameter(torch.empty(num_heads, hidden_size // num_heads))

    def turn(self, frames: Tensor, layout: Packed) -> Tensor:
        """Give them back."""
        return frames

    def forward(self, queries: Tensor, layout: Packed) -> tuple[Tensor, UnclippedBias]:
        """(N, H, D) -> queries for keys, and queries with the R = 2 L - 1 distances that they meet."""
        longest = max(layout.lengths)
        # The sinusoids are of query - key, so the distances key - query run from the left to the right.
        backward = torch.arange(longest - 1, -longest, -1, device=queries.device)
        # (R, d) -> (R, H, D)
        distances = self.linear(_sinusoids(backward, self.hidden_size, queries.dtype)).view(-1, *queries.shape[1:])
        scale = queries.shape[-1] ** -0.5
        return queries + self.content_bias, UnclippedBias((queries + self.distance_bias) * scale, distances)


def _sinusoids(positions: Tensor, size: int, dtype: torch.dtype) -> Tensor:
    """(R,) -> (R, size): sines in the even channels, cosines in the odd, ever slower; angles are fp32 at least."""
    precise = torch.promote_types(dtype, torch.float32)
    even = torch.arange(0, size, 2, device=positions.device, dtype=precise)
    angles = positions[:, None].to(precise) * torch.exp(even * (-math.log(10000.0) / size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(dtype)


class Rotary(nn.Module):
    """Pairs of channels turned by an angle that grows with the position, before the projections (`rotary`).

    Source: Su et al. 2021, arXiv 2104.09864; there queries and keys are turned, here what both are made of.
    """

    def __init__(self, head_size: int, *, base: int) -> None:
        super().__init__()
        self.head_size, self.base = head_size, base

    def turn(self, frames: Tensor, layout: Packed) -> Tensor:
        """(N, d) -> (N, d): channel c of a head's first half is turned with channel c of its second."""
        precise = torch.promote_types(frames.dtype, torch.float32)
        even = torch.arange(0, self.head_size, 2, device=frames.device, dtype=precise)
        angles = layout.positions[:, None].to(precise) * self.base ** (-even / self.head_size)
        # (N, 1, D / 2), one for all heads
        cosines, sines = angles.cos().to(frames.dtype)[:, None], angles.sin().to(frames.dtype)[:, None]
        # (N, d) -> two of (N, H, D / 2)
        first, second = frames.view(len(frames), -1, self.head_size).chunk(2, dim=-1)
        turned = torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)
        return turned.flatten(1)

    def forward(self, queries: Tensor, layout: Packed) -> tuple[Tensor, None]:
        """(N, H, D) unchanged, and no bias: angles of queries and keys meet in their product."""
        return queries, None


def positions_of(config: Config) -> Positions:
    """Make the module that the configuration names."""
    return _TYPES[config.position_embeddings_type](config)


def _relative_key(config: Config) -> RelativeKey:
    return RelativeKey(
        config.head_size, left=config.left_max_position_embeddings, right=config.right_max_position_embeddings
    )


_TYPES: Mapping[str | None, Callable[[Config], Positions]] = {
    None: lambda config: NoPositions(),
    "relative_key": _relative_key,
    "relative": lambda config: Relative(config.hidden_size, config.num_attention_heads),
    "rotary": lambda config: Rotary(config.head_size, base=config.rotary_embedding_base),
}
