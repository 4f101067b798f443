"""What goes on inside an encoder: the states of all layers, and who attends to whom.

Letters: N packed frames, C features of a frame, d channels, H heads, D channels of a head, L frames of a document.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.biases import Bias, UnclippedBias
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.model import Model


def hidden_states(model: Model, features: Tensor, layout: Packed) -> tuple[Tensor, ...]:
    """(N, C) -> (N, d) after the projection and after each block; an adapter comes after them all."""
    return tuple(model.encoder.states(features, layout))


def attention_maps(model: Model, features: Tensor, layout: Packed) -> tuple[tuple[Tensor, ...], ...]:
    """(N, C) -> for each block and each document (H, L, L): how much each query takes of each key.

    Slow, and all maps are held at once: for looking at a few recordings.

    Raises:
        ValueError: for a model in training, which leaves out blocks and drops weights.
    """
    if model.training:
        raise ValueError("a model in training attends otherwise each time; call eval() first")
    recorder = _Recorder(layout)
    for _ in model.encoder.states(features, layout, recorder):
        pass
    return tuple(recorder.maps)


class _Recorder:
    """Attention by definition, document by document, that keeps its weights."""

    def __init__(self, layout: Packed) -> None:
        self._lengths = list(layout.lengths)
        self.maps: list[tuple[Tensor, ...]] = []

    def __call__(
        self, queries: Tensor, keys: Tensor, values: Tensor, bias: Bias | None, *, dropout: float = 0.0
    ) -> Tensor:
        weights = [scores.softmax(-1) for scores in self._scores(queries, keys, bias)]
        self.maps.append(tuple(weights))
        # (H, L, L), (L, H, D) -> (L, H, D)
        documents = zip(weights, torch.split(values, self._lengths), strict=True)
        return torch.cat([torch.einsum("hqk,khd->qhd", *document) for document in documents])

    def _scores(self, queries: Tensor, keys: Tensor, bias: Bias | None) -> list[Tensor]:
        """(N, H, D) twice -> (H, L, L) for each document."""
        queries = queries * queries.shape[-1] ** -0.5
        pairs = zip(torch.split(queries, self._lengths), torch.split(keys, self._lengths), strict=True)
        scores = [torch.einsum("qhd,khd->hqk", *pair) for pair in pairs]
        if bias is None:
            return scores
        bias = bias.whole() if isinstance(bias, UnclippedBias) else bias
        for number, table in enumerate(torch.split(bias.table, self._lengths)):
            frames = torch.arange(len(table), device=table.device)
            columns = (frames - frames[:, None]).clamp(-bias.left, bias.right) + bias.left
            # (L, H, R) -> (H, L, R) -> (H, L, L)
            scores[number] += table.transpose(0, 1).gather(-1, columns.expand(table.shape[1], -1, -1))
        return scores
