"""Voxmill turns archives of audio into tables.

The public names load on first use, so that `import pipeline.models` brings neither Ray nor storage.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.api import classify, embed, label, label_frames, transcribe
    from pipeline.errors import UserError
    from pipeline.evaluation.report import Evaluation
    from pipeline.evaluation.run import evaluate
    from pipeline.summary import RunSummary
    from pipeline.table import read_table
    from pipeline.table.publish import read_published
    from pipeline.tuning import finetune

__version__ = "0.1.0"

_HOMES = {
    "classify": "pipeline.api",
    "embed": "pipeline.api",
    "label": "pipeline.api",
    "label_frames": "pipeline.api",
    "transcribe": "pipeline.api",
    "finetune": "pipeline.tuning",
    "read_published": "pipeline.table.publish",
    "read_table": "pipeline.table",
    "evaluate": "pipeline.evaluation.run",
    "Evaluation": "pipeline.evaluation.report",
    "RunSummary": "pipeline.summary",
    "UserError": "pipeline.errors",
}

__all__ = [
    "Evaluation",
    "RunSummary",
    "UserError",
    "__version__",
    "classify",
    "embed",
    "evaluate",
    "finetune",
    "label",
    "label_frames",
    "read_published",
    "read_table",
    "transcribe",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
