"""Features to hidden states: a projection and the stack of Conformer blocks.

Letters: N packed frames, C features of a frame (two stacked frames of 80 mel bins), d channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Attend, Kernel, prepare
from pipeline.models.wav2vec2_bert.block import Block
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.spec_augment import SpecAugment


class FeatureProjection(nn.Module):
    """Layer norm over the features of a frame, then a linear layer."""

    def __init__(self, num_features: int, hidden_size: int, *, eps: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_features, eps)
        self.linear = nn.Linear(num_features, hidden_size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C) -> (N, d)."""
        out: Tensor = self.dropout(self.linear(self.norm(features)))
        return out


class Encoder(nn.Module):
    """Wav2Vec2-BERT without a head.

    Layer norms and softmax compute in fp32 inside their kernels whatever the dtype of the parameters.
    """

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.kernel: Kernel = kernel
        self.projection = FeatureProjection(
            config.feature_projection_input_dim,
            config.hidden_size,
            eps=config.layer_norm_eps,
            dropout=config.feat_proj_dropout,
        )
        self.spec_augment = SpecAugment(config)
        self.dropout = nn.Dropout(config.hidden_dropout)
        self.layerdrop = config.layerdrop
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.projection.linear.weight.device

    def forward(self, features: Tensor, layout: Packed) -> Tensor:
        """(N, C) -> (N, d), what the last block gives."""
        for frames in self.states(features, layout):
            last = frames
        return last

    def states(self, features: Tensor, layout: Packed, attend: Attend | None = None) -> Iterator[Tensor]:
        """Give (N, d) after the projection and after each block; none is kept.

        In training each block is left out as often as `layerdrop` says (Fan et al. 2019, arXiv 1909.11556).

        Args:
            features: (N, C), any floating type, on any device.
            layout: where the documents lie, on the model's device.
            attend: attention of this batch in place of the kernel's.
        """
        if len(features) != layout.num_frames:
            raise ValueError(f"the layout has {layout.num_frames} frames, got features of {len(features)}")
        weight = self.projection.linear.weight
        frames: Tensor = self.projection(features.to(weight.device, weight.dtype))
        frames = self.dropout(self.spec_augment(frames, layout))
        yield frames
        if not layout.lengths:
            # So no layer needs a form for a batch without documents.
            yield from [frames] * len(self.blocks)
            return
        attend = attend or prepare(self.kernel, layout)
        for block in self.blocks:
            if not (self.training and torch.rand(()) < self.layerdrop):
                frames = block(frames, layout, attend)
            yield frames
