"""Checkpoints with other heads on the demo's encoder: new heads are random, and loud enough to disagree."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from pipeline import models

HEADS: dict[str, tuple[models.Head, dict[str, Any]]] = {
    "frames": ("frames", {"id2label": {"0": "silence", "1": "speech"}}),
    "classify": ("classes", {"id2label": {"0": "a", "1": "b", "2": "c"}, "use_weighted_layer_sum": True}),
    "embed": ("xvector", {"tdnn_dim": [24, 24, 40], "tdnn_kernel": [5, 3, 1], "tdnn_dilation": [1, 2, 1],
                          "xvector_output_dim": 16, "num_labels": 3}),
}  # fmt: skip


def checkpoints(source: Path, folder: Path, *, seed: int = 3) -> dict[str, Path]:
    """Kind of task -> checkpoint, `transcribe` being the source itself."""
    found = {"transcribe": source}
    torch.manual_seed(seed)
    for kind, (head, fields) in HEADS.items():
        copied = shutil.copytree(source, folder / f"{kind}-source")
        document = json.loads((copied / "config.json").read_text())
        (copied / "config.json").write_text(json.dumps(document | fields))
        model = models.load(copied, head=head)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith("encoder."):
                    parameter.normal_(0, 0.2 if parameter.dim() > 1 else 0.1)
        found[kind] = folder / kind
        models.save(model, found[kind])
        shutil.copy(source / "processor_config.json", found[kind])
        shutil.rmtree(copied)
    return found
