"""SpecAugment: stretches of frames become a learned vector and bands of channels become 0, while training.

Letters: N packed frames, d channels.
Source: Park et al. 2019, arXiv 1904.08779, section 2, without time warping; how many stretches as in Baevski et al.
2020, arXiv 2006.11477, section 4.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.config import Config


@dataclass(frozen=True, slots=True)
class Stretches:
    """How much of an axis is masked."""

    share: float
    """Places masked, of all, where no two stretches overlap; 0 masks nothing, whatever `least` says."""
    length: int
    """Places of one stretch."""
    least: int
    """Fewest stretches."""

    def draw(self, size: int) -> Tensor:
        """Which of so many places are masked, (size,) bool on the CPU; none where one stretch has no room.

        Stretches may overlap. The generator is PyTorch's own, so that `torch.manual_seed` repeats them.
        """
        masked = torch.zeros(size, dtype=torch.bool)
        # The fraction of a stretch that is left over is one more so often.
        count = int(self.share * size / self.length + torch.rand(()).item())
        count = min(max(count, self.least), size // self.length)
        if self.share > 0 and count:
            starts = torch.randperm(size - self.length + 1)[:count]
            masked[starts[:, None] + torch.arange(self.length)] = True
        return masked


class SpecAugment(nn.Module):
    """Masks of each document's own; nothing outside training, or where `apply_spec_augment` is false."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.frames = Stretches(config.mask_time_prob, config.mask_time_length, config.mask_time_min_masks)
        self.channels = Stretches(config.mask_feature_prob, config.mask_feature_length, config.mask_feature_min_masks)
        self.wanted = config.apply_spec_augment
        if config.has_mask_embedding:
            # (d,)
            self.embedding = nn.Parameter(torch.empty(config.hidden_size))

    def forward(self, frames: Tensor, layout: Packed) -> Tensor:
        """(N, d) -> (N, d)."""
        if not (self.training and self.wanted and layout.lengths):
            return frames
        if self.frames.share > 0:
            # (N, 1)
            masked = torch.cat([self.frames.draw(length) for length in layout.lengths])[:, None]
            frames = torch.where(masked.to(frames.device), self.embedding, frames)
        if self.channels.share > 0:
            # (documents, d) -> (N, d)
            bands = torch.stack([self.channels.draw(frames.shape[1]) for _ in layout.lengths])
            frames = frames.masked_fill(bands.to(frames.device)[layout.documents], 0)
        return frames
