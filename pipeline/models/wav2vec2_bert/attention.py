"""Multi-head self-attention of a Conformer block.

Letters: N packed frames, d channels, H heads, D = d / H channels of a head.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.packed_attention import Attend


class SelfAttention(nn.Module):
    """Layer norm, then every frame looks at all frames of its document."""

    def __init__(self, hidden_size: int, num_heads: int, *, positions: nn.Module, eps: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.LayerNorm(hidden_size, eps)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.positions = positions
        self.out = nn.Linear(hidden_size, hidden_size)

    def forward(self, frames: Tensor, attend: Attend) -> Tensor:
        """(N, d) -> (N, d); `attend` is the batch's attention and knows its documents."""
        frames = self.norm(frames)
        # (N, d) -> (N, H, D)
        queries, keys, values = (
            linear(frames).unflatten(-1, (self.num_heads, -1)) for linear in (self.query, self.key, self.value)
        )
        mixed = attend(queries, keys, values, self.positions(queries))
        # (N, H, D) -> (N, d)
        out: Tensor = self.out(mixed.flatten(1))
        return out
