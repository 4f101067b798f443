"""What of encoder and adapter a head sees: the end of them, or a mean of all the encoder's layers.

Letters: N packed frames, d channels, M frames and a channels after the adapter, S = layers + 1 states.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Kernel
from pipeline.models.wav2vec2_bert.adapter import adapter_of
from pipeline.models.wav2vec2_bert.config import Config


class LastLayer(nn.Module):
    """What the adapter gives, or without one the last block."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.adapter = adapter_of(config, kernel=kernel)

    def length(self, num_frames: int) -> int:
        """Frames that a head sees of a document."""
        return self.adapter.length(num_frames)

    def forward(self, states: Iterable[Tensor], layout: Packed) -> tuple[Tensor, Packed]:
        """S of (N, d) -> (M, a), and the layout of M."""
        seen: tuple[Tensor, Packed] = self.adapter(folded(self, states), layout)
        return seen

    def fold(self, before: Tensor | None, number: int, frames: Tensor) -> Tensor:
        """Take in the next state, (N, d), of which only the last counts."""
        return frames


class LayerMean(nn.Module):
    """The states of all layers, weighted by what training found."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        # Sees nothing here; held so that a checkpoint is written back whole.
        self.adapter = adapter_of(config, kernel=kernel)
        # (S,)
        self.weights = nn.Parameter(torch.empty(config.num_hidden_layers + 1))

    def length(self, num_frames: int) -> int:
        """Frames that a head sees of a document: all."""
        return num_frames

    def forward(self, states: Iterable[Tensor], layout: Packed) -> tuple[Tensor, Packed]:
        """S of (N, d) -> (N, d), one state after the other, and the layout."""
        return folded(self, states), layout

    def fold(self, before: Tensor | None, number: int, frames: Tensor) -> Tensor:
        """Take in state `number`, (N, d), with its weight."""
        part = frames * self.weights.softmax(-1)[number]
        return part if before is None else before + part


def folded(top: LastLayer | LayerMean, states: Iterable[Tensor]) -> Tensor:
    """S of (N, d) -> (N, d), one state after the other."""
    frames: Tensor | None = None
    for number, state in enumerate(states):
        frames = top.fold(frames, number, state)
    assert frames is not None
    return frames


def top_of(config: Config, *, kernel: Kernel) -> LastLayer | LayerMean:
    """Make what the configuration names for heads other than CTC."""
    return (LayerMean if config.use_weighted_layer_sum else LastLayer)(config, kernel=kernel)
