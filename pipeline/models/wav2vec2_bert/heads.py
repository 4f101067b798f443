"""What stands on the encoder: the CTC head.

Letters: N packed frames, B recordings padded to T frames, C features of a frame, d channels, V tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.outputs import CtcOutput
from pipeline.models.packed_attention import Kernel
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.encoder import Encoder


class CtcModel(nn.Module):
    """Wav2Vec2-BERT with a linear layer that scores the tokens of every frame."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> CtcOutput:
        """Score padded recordings, without computing the padding.

        Args:
            features: (B, T, C), any floating type and device; nothing beyond a recording's length is read.
            lengths: (B,) frames of each recording, 0 to T.

        Returns:
            logits (B, T, V) and hidden_state (B, T, d), both 0 from each recording's length on.

        Raises:
            ValueError: for shapes or lengths that do not fit together.
        """
        counts = [int(length) for length in lengths]
        if features.ndim != 3 or len(counts) != len(features):
            raise ValueError(
                f"features must be (B, T, C), lengths (B,); got {tuple(features.shape)} and ({len(counts)},)"
            )
        if not all(0 <= count <= features.shape[1] for count in counts):
            raise ValueError(f"lengths must be 0 to {features.shape[1]}, the frames given, got {counts}")
        device = self.head.weight.device
        frames = torch.arange(features.shape[1], device=features.device)
        valid = frames < torch.tensor(counts, device=features.device)[:, None]
        packed = self.forward_packed(features[valid], Packed(tuple(c for c in counts if c), device))
        valid = valid.to(device)
        return CtcOutput(_padded(packed.logits, valid), _padded(packed.hidden_state, valid))

    def forward_packed(self, features: Tensor, layout: Packed) -> CtcOutput:
        """Score documents laid end to end.

        Args:
            features: (N, C), any floating type, on any device.
            layout: where the documents lie, on the model's device.

        Returns:
            logits (N, V) and hidden_state (N, d).
        """
        if len(features) != layout.num_frames:
            raise ValueError(f"the layout has {layout.num_frames} frames, got features of {len(features)}")
        weight = self.head.weight
        if not layout.lengths:
            return CtcOutput(weight.new_zeros(0, len(weight)), weight.new_zeros(0, weight.shape[1]))
        hidden = self.encoder(features.to(weight.device, weight.dtype), layout)
        return CtcOutput(self.head(hidden), hidden)


def _padded(packed: Tensor, valid: Tensor) -> Tensor:
    """(N, X) -> (B, T, X) with zeros where not `valid` (B, T)."""
    out = packed.new_zeros(*valid.shape, packed.shape[-1])
    out[valid] = packed
    return out
