"""Multi-head self-attention of a Conformer block.

Letters: N packed frames, d channels, H heads, D = d / H channels of a head.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Attend
from pipeline.models.wav2vec2_bert.positions import Positions


class SelfAttention(nn.Module):
    """A norm, then every frame looks at all frames of its document; `dropouts` are of weights and result."""

    def __init__(
        self,
        hidden_size: int,
        num_heads: int,
        *,
        norm: nn.Module,
        positions: Positions,
        dropouts: tuple[float, float],
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = norm
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.positions = positions
        self.out = nn.Linear(hidden_size, hidden_size)
        self.weight_dropout = dropouts[0]
        self.dropout = nn.Dropout(dropouts[1])

    def forward(self, frames: Tensor, layout: Packed, attend: Attend) -> Tensor:
        """(N, d) -> (N, d); `attend` is the attention of the batch that `layout` lays out."""
        frames = self.norm(frames)
        turned = self.positions.turn(frames, layout)
        # (N, d) -> (N, H, D)
        queries, keys, values = (
            linear(seen).unflatten(-1, (self.num_heads, -1))
            for linear, seen in ((self.query, turned), (self.key, turned), (self.value, frames))
        )
        queries, bias = self.positions(queries, layout)
        mixed = attend(queries, keys, values, bias, dropout=self.weight_dropout if self.training else 0.0)
        # (N, H, D) -> (N, d)
        out: Tensor = self.dropout(self.out(mixed.flatten(1)))
        return out
