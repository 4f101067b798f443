"""What stands on the encoder: the CTC head.

Letters: N packed frames, B recordings padded to T frames, C features of a frame, V tokens, M frames and
a channels after the adapter, which are N and d without one.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.outputs import CtcOutput
from pipeline.models.packed_attention import Kernel
from pipeline.models.padding import pack, pad
from pipeline.models.wav2vec2_bert.adapter import adapter_of
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.encoder import Encoder


class CtcModel(nn.Module):
    """Wav2Vec2-BERT with a linear layer that scores the tokens of every frame."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.adapter = adapter_of(config, kernel=kernel)
        self.head = nn.Linear(config.output_size, config.vocab_size)

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> CtcOutput:
        """Score padded recordings, without computing the padding.

        Args:
            features: (B, T, C), any floating type and device; nothing beyond a recording's length is read.
            lengths: (B,) frames of each recording, 0 to T.

        Returns:
            logits (B, T', V) and hidden_state (B, T', a), both 0 from each recording's length on; T' is T unless
            an adapter leaves fewer frames.

        Raises:
            ValueError: for shapes or lengths that do not fit together.
        """
        frames, counts = pack(features, lengths)
        packed = self.forward_packed(frames, Packed(tuple(filter(None, counts)), self.head.weight.device))
        left = tuple(map(self.adapter.length, counts))
        logits, hidden = (
            pad(tensor, left, self.adapter.length(features.shape[1])) for tensor in (packed.logits, packed.hidden_state)
        )
        return CtcOutput(logits, hidden, left)

    def forward_packed(self, features: Tensor, layout: Packed) -> CtcOutput:
        """Score documents laid end to end.

        Args:
            features: (N, C), any floating type, on any device.
            layout: where the documents lie, on the model's device.

        Returns:
            logits (M, V) and hidden_state (M, a); M is N unless an adapter leaves fewer frames.
        """
        if len(features) != layout.num_frames:
            raise ValueError(f"the layout has {layout.num_frames} frames, got features of {len(features)}")
        weight = self.head.weight
        if not layout.lengths:
            return CtcOutput(weight.new_zeros(0, len(weight)), weight.new_zeros(0, weight.shape[1]), ())
        hidden, _ = self.adapter(self.encoder(features.to(weight.device, weight.dtype), layout), layout)
        return CtcOutput(self.head(hidden), hidden, tuple(map(self.adapter.length, layout.lengths)))
