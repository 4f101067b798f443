"""Speaker embeddings: time-delay layers over the frames, then their mean and deviation over a recording.

Letters: N packed frames, M after a layer, K frames of a window, B recordings, C features of a frame, E channels of an
embedding.
Source: Snyder et al. 2018, X-vectors: robust DNN embeddings for speaker recognition.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.outputs import EmbeddingOutput
from pipeline.models.packed_attention import Kernel
from pipeline.models.padding import Unpadded
from pipeline.models.strided import Windows
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.encoder import Encoder
from pipeline.models.wav2vec2_bert.heads import seen_by_head
from pipeline.models.wav2vec2_bert.top import top_of

LEAST_VARIANCE = 1e-12
"""Up to it a channel's deviation counts as 0."""


class TimeDelay(nn.Module):
    """A dilated convolution without padding, and its positive part."""

    def __init__(self, size_in: int, size_out: int, windows: Windows) -> None:
        super().__init__()
        self.windows = windows
        self.linear = nn.Linear(windows.size * size_in, size_out)

    def forward(self, frames: Tensor, layout: Packed) -> tuple[Tensor, Packed]:
        """(N, channels in) -> (M, channels out), and the layout of M."""
        # (N, channels) -> (M, K, channels)
        seen, shorter = self.windows.gather(frames, layout)
        return self.linear(seen.flatten(1)).relu_(), shorter


class XVectorModel(nn.Module):
    """Wav2Vec2-BERT with an x-vector on its frames."""

    def __init__(self, config: Config, *, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config, kernel=kernel)
        self.top = top_of(config, kernel=kernel)
        self.project = nn.Linear(config.hidden_size, config.tdnn_dim[0])
        self.windows = tuple(map(_windows, config.tdnn_kernel, config.tdnn_dilation))
        sizes_in = (config.tdnn_dim[0], *config.tdnn_dim[:-1])
        self.tdnn = nn.ModuleList(map(TimeDelay, sizes_in, config.tdnn_dim, self.windows))
        size = config.xvector_output_dim
        self.embed = nn.Linear(2 * config.tdnn_dim[-1], size)
        self.head = nn.Linear(size, size)
        # For training only; held so that a checkpoint is written back whole.
        self.class_vectors = nn.Parameter(torch.empty(size, len(config.labels)))

    def length(self, num_frames: int) -> int:
        """Frames of a document that are pooled; an embedding needs two."""
        return self._pooled(self.top.length(num_frames))

    def forward(self, features: Tensor, lengths: Tensor | Sequence[int]) -> EmbeddingOutput:
        """(B, T, C) and (B,) frames of each -> embeddings and logits (B, E); arguments as for `CtcModel`."""
        batch = Unpadded.of(features, lengths)
        packed = self.forward_packed(batch.frames, batch.layout(self.encoder.device))
        return EmbeddingOutput(batch.rows(packed.embeddings), batch.rows(packed.logits))

    def forward_packed(self, features: Tensor, layout: Packed) -> EmbeddingOutput:
        """(N, C) -> embeddings and logits, a row for each document."""
        hidden, shorter = seen_by_head(self, features, layout)
        return self._embed(hidden, shorter, list(map(self.length, layout.lengths)))

    def score(self, hidden: Tensor, layout: Packed) -> EmbeddingOutput:
        """(M, d), any stretches of what the encoder gave -> embeddings and logits, a row for each stretch."""
        return self._embed(hidden, layout, list(map(self._pooled, layout.lengths)))

    def _pooled(self, num_frames: int) -> int:
        """Frames that are pooled of a stretch of what the head sees."""
        for windows in self.windows:
            num_frames = windows.length(num_frames)
        return num_frames

    def _embed(self, hidden: Tensor, layout: Packed, lengths: list[int]) -> EmbeddingOutput:
        frames, shorter = self.project(hidden), layout
        for layer in self.tdnn:
            frames, shorter = layer(frames, shorter)
        statistics = [_statistics(document) for document in frames.split(lengths)] if lengths else []
        pooled = torch.stack(statistics) if statistics else frames.new_empty(0, 2 * frames.shape[1])
        embeddings = self.embed(pooled)
        return EmbeddingOutput(embeddings, self.head(embeddings))


def _windows(size: int, dilation: int) -> Windows:
    return Windows(size, dilation=dilation)


def _statistics(document: Tensor) -> Tensor:
    """(M, X) -> (2 X,): mean and deviation of each channel, NaN for fewer than two frames."""
    precise = document.to(torch.promote_types(document.dtype, torch.float32))
    mean = precise.mean(dim=0)
    variance = (precise - mean).square().sum(dim=0) / (len(precise) - 1)
    # The slope of a root at 0 has no end, and a channel that does not change would spoil the gradient of all.
    deviation = variance.clamp_min(LEAST_VARIANCE).sqrt() * (variance > LEAST_VARIANCE)
    return torch.cat([mean, deviation]).to(document.dtype)
