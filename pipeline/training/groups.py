"""Which parameters learn, and how fast: a frozen encoder, slower layers further down, no decay of biases and norms."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from pipeline.models import Model

_BLOCK = re.compile(r"encoder\.blocks\.(\d+)\.")


def freeze_encoder(model: Model) -> None:
    """Leave encoder and adapter as they are: no gradients, and neither dropout nor masks in them."""
    for module in (model.encoder, model.top.adapter):
        module.requires_grad_(False)
        module.eval()


def parameter_groups(
    model: Model, *, learning_rate: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Groups for an optimiser, each with its own `lr` and `weight_decay`; frozen parameters are in none.

    Args:
        model: to be trained.
        learning_rate: of what stands on the encoder.
        layer_decay: a block learns this much slower than the one above it.
        weight_decay: of matrices; vectors, such as biases and norms, have none.
    """
    layers = len(model.encoder.blocks)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        depth, matrix = _depth(name, layers), parameter.ndim > 1
        rate = learning_rate * layer_decay ** (layers + 1 - depth)
        fresh = {"params": [], "lr": rate, "fastest": rate, "weight_decay": weight_decay if matrix else 0.0}
        groups.setdefault((depth, matrix), fresh)["params"].append(parameter)
    return list(groups.values())


def mode(model: nn.Module, *, frozen: bool) -> None:
    """Put a model into training mode, its encoder only if that learns."""
    model.train()
    if frozen:
        freeze_encoder(model)  # type: ignore[arg-type]


def _depth(name: str, layers: int) -> int:
    """0 for what comes before the first block, `layers` + 1 for what stands on the last."""
    if block := _BLOCK.match(name):
        return int(block[1]) + 1
    return 0 if name.startswith("encoder.") else layers + 1
