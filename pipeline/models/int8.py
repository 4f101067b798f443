"""Linear layers in whole numbers of 8 bits on a CPU: faster, and a little less exact.

Letters: N packed frames, I channels in, O channels out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.replacing import replace_linears
from pipeline.models.wav2vec2_bert.convolution import Convolution
from pipeline.models.wav2vec2_bert.model import Model

_LARGEST = 127.0
"""Symmetric: -128 is not used, so that a scale alone says what a number means."""


class Int8Linear(nn.Module):
    """What `nn.Linear` computes, one scale for each channel out and one, measured anew, for each frame.

    A frame's scale is its own, so that results do not depend on what else is in the batch.
    """

    weight: Tensor
    scales: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scales = _scales(weight)
        # (I, O) and (O,)
        self.register_buffer("weight", _whole(weight, scales).T.contiguous())
        self.register_buffer("scales", scales[:, 0])
        self.bias = linear.bias

    def forward(self, frames: Tensor) -> Tensor:
        """(N, I) -> (N, O), float32."""
        scales = _scales(frames)
        # The products are whole numbers, summed without rounding in 32 bits.
        out = torch._int_mm(_whole(frames, scales), self.weight).float().mul_(scales)
        return out.mul_(self.scales) if self.bias is None else torch.addcmul(self.bias, out, self.scales)


def quantise(model: Model) -> Model:
    """Put 8-bit layers in the place of the linear ones of all attentions and feed-forwards; the rest stays in float32.

    The convolutions' two, an eighth of the products, would make four fifths of the squared error.

    Only for inference on a CPU; on those without instructions for 8-bit products it may be slower.

    Raises:
        ValueError: the model is not in float32 on a CPU, or the CPU's sums of 8-bit products overflow.
    """
    # Some kernels for older CPUs sum pairs of products in 16 bits.
    largest = torch.full((4, 64), int(_LARGEST), dtype=torch.int8)
    if not (torch._int_mm(largest, largest.T.contiguous()) == 64 * int(_LARGEST) ** 2).all():
        raise ValueError("this CPU has no exact sums of 8-bit products; use float32")
    weight = model.encoder.projection.linear.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise ValueError(f"a model in 8 bits is made of one in float32 on a CPU, not {weight.dtype} on {weight.device}")
    replace_linears(model.encoder.blocks, Int8Linear, but=Convolution)
    return model


def _scales(rows: Tensor) -> Tensor:
    """(X, Y) -> (X, 1): what one step of a row's whole numbers is worth."""
    # No smaller than a normal number: a row of zeros must not be divided by one that a CPU may take for zero.
    return (rows.abs().amax(dim=1, keepdim=True) / _LARGEST).clamp_min(torch.finfo(torch.float32).tiny)


def _whole(rows: Tensor, scales: Tensor) -> Tensor:
    return (rows / scales).round_().to(torch.int8)
