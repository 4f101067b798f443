"""The Conformer's convolution module, causal, over packed documents.

Letters: N packed frames, d channels, K frames of the kernel, G rows once K - 1 zero rows stand before each
document.
Source: Gulati et al. 2020, arXiv 2005.08100, section 2.2; layer norm for batch norm, padded on the left.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.activations import Activation

_TILE = 2**19
"""Values that the CPU form sums at once: 2 MB in fp32, which stays in the cache over all taps."""


class Convolution(nn.Module):
    """Layer norm, gated linear unit, depthwise convolution, layer norm, activation, linear."""

    def __init__(
        self, hidden_size: int, kernel_size: int, *, activation: Activation, eps: float, dropout: float
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_size, eps)
        self.gated = nn.Linear(hidden_size, 2 * hidden_size, bias=False)
        self.depthwise = CausalDepthwise(hidden_size, kernel_size)
        self.depthwise_norm = nn.LayerNorm(hidden_size, eps)
        self.activation = activation
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, frames: Tensor, layout: Packed) -> Tensor:
        """(N, d) -> (N, d)."""
        # (N, d) -> (N, 2 d) -> (N, d)
        frames = F.glu(self.gated(self.norm(frames)))
        frames = self.activation(self.depthwise_norm(self.depthwise(frames, layout)))
        out: Tensor = self.dropout(self.out(frames))
        return out


class CausalDepthwise(nn.Module):
    """Each channel filtered by itself, over the frame and the K - 1 before it in its document."""

    def __init__(self, hidden_size: int, kernel_size: int) -> None:
        super().__init__()
        # (d, K)
        self.weight = nn.Parameter(torch.empty(hidden_size, kernel_size))

    def forward(self, frames: Tensor, layout: Packed) -> Tensor:
        """(N, d) -> (N, d); nothing of one document reaches the next."""
        gap = self.weight.shape[1] - 1
        rows = layout.rows_after_gaps(gap)
        num_rows = layout.num_frames + gap * len(layout.lengths)
        # (N, d) -> (G, d)
        spread = frames.new_zeros(num_rows, frames.shape[1]).index_copy(0, rows, frames)
        filtered = _filter(spread, self.weight)
        # (G - K + 1, d) -> (N, d)
        return filtered.index_select(0, rows - gap)


def _filter(rows: Tensor, weight: Tensor) -> Tensor:
    """Correlate each column of (G, d) with its row of (d, K), without padding: -> (G - K + 1, d)."""
    if rows.device.type == "cpu" and not (rows.requires_grad or weight.requires_grad):
        return _shifted_sums(rows, weight)
    if rows.device.type == "cpu" and rows.dtype is torch.float16:
        # oneDNN never returns from 16 taps or more in float16 on processors with AVX512-FP16 (PyTorch 2.13.0).
        return _conv1d(rows.float(), weight.float()).to(rows.dtype)
    return _conv1d(rows, weight)


def _conv1d(rows: Tensor, weight: Tensor) -> Tensor:
    # (G, d) -> (d, G) and back
    return F.conv1d(rows.T[None], weight[:, None], groups=len(weight))[0].T


def _shifted_sums(rows: Tensor, weight: Tensor) -> Tensor:
    """What `conv1d` computes, three times as fast at 1024 channels on a CPU, where it saves both transposes.

    Sums in fp32 for half precision, as `conv1d` does.
    """
    kernel_size = weight.shape[1]
    precise = torch.promote_types(rows.dtype, torch.float32)
    # (d, K) -> (K, d)
    taps = weight.T.to(precise).contiguous()
    out = rows.new_empty(len(rows) - kernel_size + 1, rows.shape[1])
    height = max(1, _TILE // rows.shape[1])
    for first in range(0, len(out), height):
        tile = rows[first : first + height + kernel_size - 1].to(precise)
        num_rows = len(tile) - kernel_size + 1
        total = tile[:num_rows] * taps[0]
        for shift in range(1, kernel_size):
            total.addcmul_(tile[shift : shift + num_rows], taps[shift])
        out[first : first + num_rows] = total
    return out
