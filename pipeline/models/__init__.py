"""Acoustic models in plain PyTorch, from and to Hugging Face checkpoint folders.

Importing this loads neither Ray nor transformers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch

from pipeline.models import checkpoint, weights
from pipeline.models.packed_attention import Kernel
from pipeline.models.wav2vec2_bert import names
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.heads import CtcModel

__all__ = ["load", "save"]


def load(
    path_or_hub_id: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    kernel: Kernel | Literal["auto"] = "auto",
) -> CtcModel:
    """Load a checkpoint for inference.

    Args:
        path_or_hub_id: a folder with config.json and safetensors, or a hub id such as owner/name.
        dtype: of parameters and outputs: float32, bfloat16 or float16.
        device: where the model runs.
        kernel: form of the attention. `plain` runs everywhere; `fused` compiles FlexAttention once a process,
            on a CPU in half a minute and with a C++ compiler; `auto` is `fused` on CUDA and else `plain`.

    Returns:
        The model in eval mode, its parameters without gradients; `model.config` is what config.json says.

    Raises:
        UserError: for a checkpoint that is absent, damaged, contradictory or of a model that we do not run.
    """
    where, device = os.fspath(path_or_hub_id), torch.device(device)
    if kernel == "auto":
        kernel = "fused" if device.type == "cuda" else "plain"
    folder = checkpoint.resolve(path_or_hub_id)
    config = Config.read(checkpoint.read_config(folder, where=where), where=where)
    with torch.device("meta"):
        model = CtcModel(config, kernel=kernel)
    weights.fill(
        model,
        folder,
        where=where,
        stored=names.stored(model),
        optional={names.MASK_EMBEDDING},
        dtype=dtype,
        device=device,
    )
    return model.eval().requires_grad_(False)


def save(model: CtcModel, path: str | os.PathLike[str]) -> None:
    """Write config.json and model.safetensors, as `load` and transformers read them.

    The folder is made if need be. Vocabulary and processor files are not the model's: copy them beside.
    """
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    weights.write(model, folder, stored=names.stored(model))
    checkpoint.write_config(folder, model.config.document)
