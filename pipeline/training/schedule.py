"""How fast to learn at each moment, as a share of the fastest."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

Decay = Literal["linear", "cosine", "constant"]

_DECAYS: Mapping[Decay, Callable[[float], float]] = {
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
    "constant": lambda done: 1.0,
}


def rate(progress: float, *, warmup: float, decay: Decay) -> float:
    """Share of the learning rate, 0 to 1.

    Args:
        progress: share of the training that is done, 0 to 1.
        warmup: share of the training in which the rate rises from 0, evenly.
        decay: how it falls to 0 in the rest.
    """
    if progress < warmup:
        return progress / warmup
    return _DECAYS[decay]((progress - warmup) / (1 - warmup)) if warmup < 1 else 1.0
