"""Activations by the names that config.json gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: Mapping[str, Activation] = {
    "swish": partial(F.silu, inplace=True),
    "silu": partial(F.silu, inplace=True),
    "relu": partial(F.relu, inplace=True),
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}
"""By the names that `hidden_act` and `adapter_act` have; they may overwrite their input, to spare memory."""
