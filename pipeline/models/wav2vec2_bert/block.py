"""One Conformer block: half a feed-forward, attention, convolution, half a feed-forward, each a residual.

Letters: N packed frames, d channels, F channels inside a feed-forward.
Source: Gulati et al. 2020, arXiv 2005.08100, section 2.4.
"""

from __future__ import annotations

from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Attend
from pipeline.models.wav2vec2_bert.activations import ACTIVATIONS, Activation
from pipeline.models.wav2vec2_bert.attention import SelfAttention
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.convolution import Convolution
from pipeline.models.wav2vec2_bert.positions import positions_of


class FeedForward(nn.Module):
    """Layer norm, a wide hidden layer, and back; `dropouts` are those of the wide layer and of what comes out."""

    def __init__(
        self,
        hidden_size: int,
        intermediate_size: int,
        *,
        activation: Activation,
        eps: float,
        dropouts: tuple[float, float],
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size, eps)
        self.widen = nn.Linear(hidden_size, intermediate_size)
        self.activation = activation
        self.narrow = nn.Linear(intermediate_size, hidden_size)
        self.wide_dropout, self.dropout = map(nn.Dropout, dropouts)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, d) -> (N, F) -> (N, d)."""
        wide = self.wide_dropout(self.activation(self.widen(self.norm(frames))))
        out: Tensor = self.dropout(self.narrow(wide))
        return out


class Block(nn.Module):
    """The four modules and their residual sums, then a last layer norm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        size, eps = config.hidden_size, config.layer_norm_eps
        activation = ACTIVATIONS[config.hidden_act]
        self.feed_forward_1, self.feed_forward_2 = (
            FeedForward(
                size,
                config.intermediate_size,
                activation=activation,
                eps=eps,
                dropouts=(config.activation_dropout, config.hidden_dropout),
            )
            for _ in range(2)
        )
        self.attention = SelfAttention(
            size,
            config.num_attention_heads,
            norm=nn.LayerNorm(size, eps),
            positions=positions_of(config),
            dropouts=(config.attention_dropout, config.attention_dropout),
        )
        self.convolution = Convolution(
            size,
            config.conv_depthwise_kernel_size,
            activation=activation,
            eps=eps,
            dropout=config.conformer_conv_dropout,
        )
        self.norm = nn.LayerNorm(size, eps)

    def forward(self, frames: Tensor, layout: Packed, attend: Attend) -> Tensor:
        """(N, d) -> (N, d)."""
        frames = frames.add(self.feed_forward_1(frames), alpha=0.5)
        frames = frames + self.attention(frames, layout, attend)
        frames = frames + self.convolution(frames, layout)
        frames = frames.add(self.feed_forward_2(frames), alpha=0.5)
        out: Tensor = self.norm(frames)
        return out
