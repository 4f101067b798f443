"""Strided attention layers between encoder and head: fewer frames, maybe other channels.

Letters: N packed frames, M packed frames afterwards, d channels of the encoder, a of the adapter, K frames of a
window, F channels inside a feed-forward.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Kernel, prepare
from pipeline.models.strided import Windows
from pipeline.models.wav2vec2_bert.activations import ACTIVATIONS
from pipeline.models.wav2vec2_bert.attention import SelfAttention
from pipeline.models.wav2vec2_bert.block import FeedForward
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.positions import NoPositions


class Shorten(nn.Module):
    """Layer norm, strided convolution, gated linear unit."""

    def __init__(self, size: int, windows: Windows, *, eps: float) -> None:
        super().__init__()
        self.windows = windows
        self.norm = nn.LayerNorm(size, eps)
        # (2 a, a, K) and (2 a,)
        self.weight = nn.Parameter(torch.empty(2 * size, size, windows.size))
        self.bias = nn.Parameter(torch.empty(2 * size))

    def forward(self, frames: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
        """(N, a) -> (M, a) and their layout."""
        # (N, a) -> (M, K, a)
        seen, shorter = self.windows.gather(self.norm(frames), layout)
        # (M, K a) -> (M, 2 a) -> (M, a)
        return F.glu(F.linear(seen.flatten(1), self.weight.transpose(1, 2).flatten(1), self.bias)), shorter


class AdapterLayer(nn.Module):
    """Attention over shortened documents, added to another shortening of them; then a feed-forward."""

    def __init__(self, config: Config, windows: Windows, *, kernel: Kernel) -> None:
        super().__init__()
        size, eps = config.adapter_size, config.layer_norm_eps
        self.kernel: Kernel = kernel
        self.residual = Shorten(size, windows, eps=eps)
        self.pooled = Shorten(size, windows, eps=eps)
        self.attention = SelfAttention(
            size,
            config.num_attention_heads,
            norm=nn.Identity(),
            positions=NoPositions(),
            dropouts=(config.attention_dropout, config.conformer_conv_dropout),
        )
        self.feed_forward = FeedForward(
            size,
            config.intermediate_size,
            activation=ACTIVATIONS[config.adapter_act],
            eps=eps,
            dropouts=(config.activation_dropout, config.hidden_dropout),
        )

    def forward(self, frames: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
        """(N, a) -> (M, a) and their layout."""
        residual, shorter = self.residual(frames, layout)
        pooled, _ = self.pooled(frames, layout)
        if not shorter.lengths:
            return residual, shorter
        frames = residual + self.attention(pooled, shorter, prepare(self.kernel, shorter))
        return frames + self.feed_forward(frames), shorter


class Intermediate(nn.Module):
    """Half a feed-forward without a norm, a residual."""

    def __init__(self, hidden_size: int, intermediate_size: int, *, dropouts: tuple[float, float]) -> None:
        super().__init__()
        self.widen = nn.Linear(hidden_size, intermediate_size)
        self.narrow = nn.Linear(intermediate_size, hidden_size)
        self.wide_dropout, self.dropout = map(nn.Dropout, dropouts)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, d) -> (N, F) -> (N, d)."""
        wide = self.wide_dropout(self.widen(frames).relu_())
        return frames.add(self.dropout(self.narrow(wide)), alpha=0.5)


class Adapter(nn.Module):
    """The layers one after the other, each `stride` times fewer frames."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        size = config.adapter_size
        stride = config.adapter_stride
        self.windows = Windows(config.adapter_kernel_size, stride=stride, padding=stride // 2)
        self.intermediate: nn.Module = nn.Identity()
        if config.use_intermediate_ffn_before_adapter:
            dropouts = config.activation_dropout, config.hidden_dropout
            self.intermediate = Intermediate(config.hidden_size, config.intermediate_size, dropouts=dropouts)
        self.project: nn.Module = nn.Identity()
        if size != config.hidden_size:
            norm = nn.LayerNorm(size, config.layer_norm_eps)
            self.project = nn.Sequential(nn.Linear(config.hidden_size, size), norm)
        self.layers = nn.ModuleList(
            AdapterLayer(config, self.windows, kernel=kernel) for _ in range(config.num_adapter_layers)
        )

    def length(self, num_frames: int) -> int:
        """Frames that are left of a document; none where it is too short for the windows."""
        for _ in self.layers:
            num_frames = self.windows.length(num_frames)
        return num_frames

    def forward(self, frames: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
        """(N, d) -> (M, a), and the layout of the documents that have frames left."""
        # (N, d) -> (N, a)
        frames = self.project(self.intermediate(frames))
        for layer in self.layers:
            frames, layout = layer(frames, layout)
        return frames, layout


class NoAdapter(nn.Module):
    """In the place of an adapter: every frame stays."""

    def length(self, num_frames: int) -> int:
        """Give it back."""
        return num_frames

    def forward(self, frames: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
        """Give them back."""
        return frames, layout


def adapter_of(config: Config, *, kernel: Kernel) -> Adapter | NoAdapter:
    """Make the adapter that the configuration names, or what stands in its place."""
    return Adapter(config, kernel=kernel) if config.add_adapter else NoAdapter()
