"""What stands on the encoder: nothing, scores of tokens or classes for every frame, or of classes for a recording.

Letters: N packed frames, M that the encoder or its adapter gives, B recordings padded to T frames (T' given), C
features of a frame, d channels that the head sees, V scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.outputs import ClassOutput, EncoderOutput, FrameOutput
from pipeline.models.packed_attention import Kernel
from pipeline.models.padding import Unpadded
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.encoder import Encoder
from pipeline.models.wav2vec2_bert.top import LastLayer, LayerMean, top_of


class HasTop(Protocol):
    """A model: what is below its head."""

    @property
    def encoder(self) -> Encoder: ...  # noqa: D102
    @property
    def top(self) -> LastLayer | LayerMean: ...  # noqa: D102


class BareModel(nn.Module):
    """Wav2Vec2-BERT without a head."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.top = LastLayer(config, kernel=kernel)

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> EncoderOutput:
        """(B, T, C) and (B,) frames of each -> hidden_state (B, T', d); arguments as for `CtcModel`."""
        batch = Unpadded.of(features, lengths)
        packed = self.forward_packed(batch.frames, batch.layout(self.encoder.device))
        hidden = batch.pad(packed.hidden_state, self.top.length)
        return EncoderOutput(hidden, tuple(map(self.top.length, batch.lengths)))

    def forward_packed(self, features: Tensor, layout: Packed) -> EncoderOutput:
        """(N, C) -> hidden_state (M, d)."""
        scored = self.score(*seen_by_head(self, features, layout))
        return replace(scored, lengths=lengths_out(self, layout))

    def score(self, hidden: Tensor, layout: Packed) -> EncoderOutput:
        """(M, d) -> the same."""
        return EncoderOutput(hidden, layout.lengths)


class CtcModel(nn.Module):
    """Wav2Vec2-BERT with a linear layer that scores the tokens of every frame."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.top = LastLayer(config, kernel=kernel)
        self.dropout = nn.Dropout(config.final_dropout)
        self.head = nn.Linear(config.output_size, config.vocab_size)

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> FrameOutput:
        """Score padded recordings, without computing the padding.

        Args:
            features: (B, T, C), any floating type and device; nothing beyond a recording's length is read.
            lengths: (B,) frames of each recording, 0 to T.

        Returns:
            logits (B, T', V) and hidden_state (B, T', d), both 0 from each recording's length on; T' is T unless
            an adapter leaves fewer frames.

        Raises:
            ValueError: for shapes or lengths that do not fit together.
        """
        return _score_padded(self, features, lengths)

    def forward_packed(self, features: Tensor, layout: Packed) -> FrameOutput:
        """Score documents laid end to end.

        Args:
            features: (N, C), any floating type, on any device.
            layout: where the documents lie, on the model's device.

        Returns:
            logits (M, V) and hidden_state (M, d); M is N unless an adapter leaves fewer frames.
        """
        scored = self.score(*seen_by_head(self, features, layout))
        return replace(scored, lengths=lengths_out(self, layout))

    def score(self, hidden: Tensor, layout: Packed) -> FrameOutput:
        """(M, d), what encoder and adapter gave -> logits (M, V)."""
        return FrameOutput(self.head(self.dropout(hidden)), hidden, layout.lengths)


class FrameModel(nn.Module):
    """Wav2Vec2-BERT with a linear layer that scores the classes of every frame."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.top = top_of(config, kernel=kernel)
        self.head = nn.Linear(config.hidden_size, len(config.labels))

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> FrameOutput:
        """(B, T, C) and (B,) frames of each -> logits (B, T, V); arguments as for `CtcModel`."""
        return _score_padded(self, features, lengths)

    def forward_packed(self, features: Tensor, layout: Packed) -> FrameOutput:
        """(N, C) -> logits (N, V)."""
        scored = self.score(*seen_by_head(self, features, layout))
        return replace(scored, lengths=lengths_out(self, layout))

    def score(self, hidden: Tensor, layout: Packed) -> FrameOutput:
        """(N, d), what the encoder gave -> logits (N, V)."""
        return FrameOutput(self.head(hidden), hidden, layout.lengths)


class ClassModel(nn.Module):
    """Wav2Vec2-BERT with a linear layer, the mean over a recording, and a linear layer that scores its classes."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.top = top_of(config, kernel=kernel)
        self.project = nn.Linear(config.hidden_size, config.classifier_proj_size)
        self.head = nn.Linear(config.classifier_proj_size, len(config.labels))

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> ClassOutput:
        """(B, T, C) and (B,) frames of each -> logits (B, V); arguments as for `CtcModel`."""
        batch = Unpadded.of(features, lengths)
        return ClassOutput(batch.rows(self.forward_packed(batch.frames, batch.layout(self.encoder.device)).logits))

    def forward_packed(self, features: Tensor, layout: Packed) -> ClassOutput:
        """(N, C) -> logits, a row for each document."""
        return self.score(*seen_by_head(self, features, layout))

    def score(self, hidden: Tensor, layout: Packed) -> ClassOutput:
        """(M, d), any stretches of what the encoder gave -> logits, a row for each stretch."""
        projected: Tensor = self.project(hidden)
        if not layout.lengths:
            return ClassOutput(self.head(projected))
        documents = torch.split(projected, list(layout.lengths))
        return ClassOutput(self.head(torch.stack([document.mean(dim=0) for document in documents])))


def _score_padded(model: CtcModel | FrameModel, features: Tensor, lengths: Tensor | Sequence[int]) -> FrameOutput:
    batch = Unpadded.of(features, lengths)
    packed = model.forward_packed(batch.frames, batch.layout(model.encoder.device))
    logits, hidden = (batch.pad(frames, model.top.length) for frames in (packed.logits, packed.hidden_state))
    return FrameOutput(logits, hidden, tuple(map(model.top.length, batch.lengths)))


def seen_by_head(model: HasTop, features: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
    """(N, C) -> what the head of a model sees, (M, d), and the layout of M."""
    seen: tuple[Tensor, Packed] = model.top(model.encoder.states(features, layout), layout)
    return seen


def lengths_out(model: HasTop, layout: Packed) -> tuple[int, ...]:
    """Frames that the head sees of each document, 0 of those that are too short for the adapter."""
    return tuple(map(model.top.length, layout.lengths))
