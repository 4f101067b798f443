"""Linear layers whose weights lie as the CPU's matrix kernels read them: the same numbers, sooner.

PyTorch hands a plain layer's weights to a kernel that rearranges them in each call. oneDNN's, given weights that were
arranged once, takes 0.8 of the time in float32 and 0.93 in bfloat16 at 1,024 channels, and half with few frames
(`tests/benchmarks/encoder.py` has the whole). The two operators are those that PyTorch's own compiler calls.

Letters: N packed frames, I channels in, O channels out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.models.replacing import replace_linears
from pipeline.models.wav2vec2_bert.model import Model


class PrepackedLinear(nn.Module):
    """What `nn.Linear` computes on a CPU, for inference."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        # No parameter: it has no layout that anything but these kernels reads.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = linear.bias

    def forward(self, frames: Tensor) -> Tensor:
        """(N, I) -> (N, O)."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(frames, self._weight, self.bias, "none", [], "")
        return out


def prepack(model: Model) -> Model:
    """Arrange the weights of all linear layers of blocks, one after the other, so that memory holds one of them twice.

    Where the model is not on a CPU whose kernels take its precision, nothing changes. A model so arranged can neither
    be trained nor saved.
    """
    weight = model.encoder.projection.linear.weight
    if weight.device.type == "cpu" and _taken(weight.dtype):
        replace_linears(model.encoder.blocks, PrepackedLinear)
    return model


def _taken(dtype: torch.dtype) -> bool:
    """Whether oneDNN is there and computes in this precision."""
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not there or dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return False
        PrepackedLinear(nn.Linear(16, 16).to(dtype))(torch.zeros(1, 16, dtype=dtype))
    except (RuntimeError, AttributeError):
        return False
    return True
