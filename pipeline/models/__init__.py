"""Acoustic models in plain PyTorch, from and to Hugging Face checkpoint folders.

Importing this loads neither Ray nor transformers, and PyTorch only with the first name used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.models.compiled import compile_blocks
    from pipeline.models.int8 import quantise
    from pipeline.models.loading import load, save
    from pipeline.models.prepacked import prepack
    from pipeline.models.wav2vec2_bert.kinds import Head
    from pipeline.models.wav2vec2_bert.model import Model

_HOMES = {
    "Head": "pipeline.models.wav2vec2_bert.kinds",
    "compile_blocks": "pipeline.models.compiled",
    "Model": "pipeline.models.wav2vec2_bert.model",
    "load": "pipeline.models.loading",
    "prepack": "pipeline.models.prepacked",
    "quantise": "pipeline.models.int8",
    "save": "pipeline.models.loading",
}

__all__ = ["Head", "Model", "compile_blocks", "load", "prepack", "quantise", "save"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
