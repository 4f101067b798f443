"""A model from a checkpoint folder, and into one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pipeline.models import checkpoint, weights
from pipeline.models.compiled import CompiledBlock
from pipeline.models.int8 import Int8Linear
from pipeline.models.packed_attention import Kernel
from pipeline.models.prepacked import PrepackedLinear
from pipeline.models.wav2vec2_bert import names
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.encoder import Encoder
from pipeline.models.wav2vec2_bert.kinds import HEADS, Head, head_of
from pipeline.models.wav2vec2_bert.model import Model, make


def load(
    path_or_hub_id: str | os.PathLike[str],
    *,
    head: Head | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    kernel: Kernel | Literal["auto"] = "auto",
    encoder: Encoder | None = None,
) -> Model:
    """Load a checkpoint.

    Args:
        path_or_hub_id: a folder with config.json and safetensors, or a hub id such as owner/name.
        head: what stands on the encoder, or None for what the checkpoint has. Another than it has is made new, with
            random weights to be trained, and the checkpoint's own is left out.
        dtype: of parameters and outputs: float32, bfloat16, float16, or float64 to compare with.
        device: where the model runs.
        kernel: form of the attention. `plain` runs everywhere; `fused` compiles FlexAttention once a process,
            on a CPU in half a minute and with a C++ compiler; `auto` is `fused` on CUDA and else `plain`.
        encoder: one that is loaded already and equal to the checkpoint's (`sharing.encoder_fingerprint`): then only
            the head is read, and both models share it.

    Returns:
        The model in eval mode, its parameters without gradients (to train it: `model.train().requires_grad_()`, and
        `pipeline.models.losses`); `model.config` is what config.json says.

    Raises:
        UserError: for a checkpoint that is absent, damaged, contradictory or of a model that we do not run.
    """
    where, device = os.fspath(path_or_hub_id), torch.device(device)
    if kernel == "auto":
        kernel = "fused" if device.type == "cuda" else "plain"
    if head is not None and head not in HEADS:
        raise ValueError(f"head must be one of {', '.join(HEADS)}, got {head}")
    folder = checkpoint.resolve(path_or_hub_id)
    document = checkpoint.read_config(folder, where=where)
    config = Config.read(document, where=where, head=head)
    with torch.device("meta"):
        model = make(config, kernel=kernel)
    new_head = config.head != head_of(document)
    _fill(model, folder, where=where, new_head=new_head, dtype=dtype, device=device, shared=encoder is not None)
    if encoder is not None:
        model.encoder = encoder
    return model.eval().requires_grad_(False)


def _fill(
    model: Model,
    folder: Path,
    *,
    where: str,
    new_head: bool,
    dtype: torch.dtype,
    device: torch.device,
    shared: bool,
) -> None:
    found = weights.names(folder, where=where)
    # A checkpoint without a head may leave the prefix out, and then holds nothing but the encoder.
    prefixed = model.config.head != "none" and not new_head or any(map(names.of_encoder, found))
    left_out = new_head and prefixed
    weights.fill(
        model,
        folder,
        where=where,
        stored=names.stored(model, model.config.head, prefixed=prefixed),
        optional=lambda name: names.is_mask(name) or (left_out and not names.of_encoder(name)),
        fresh=_new_head(model) if new_head else {},
        shared="encoder." if shared else None,
        dtype=dtype,
        device=device,
    )


def _new_head(model: Model) -> dict[str, Tensor]:
    """Random matrices and zero vectors for all that is not of the encoder, by our names."""
    entries = names.stored(model, model.config.head)
    shapes = {
        parameter: model.get_parameter(parameter).shape
        for parameter, entry in entries.items()
        if not names.of_encoder(entry.name)
    }
    std = model.config.initializer_range
    return {name: torch.randn(shape) * std if len(shape) > 1 else torch.zeros(shape) for name, shape in shapes.items()}


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write config.json and model.safetensors, as `load` and transformers read them.

    The folder is made if need be. Vocabulary and processor files are not the model's: copy them beside. A config.json
    that names the precision of weights names theirs.

    Raises:
        ValueError: for a model in 8 bits, with arranged weights or compiled blocks: its own layers are gone.
    """
    if any(isinstance(module, Int8Linear | PrepackedLinear | CompiledBlock) for module in model.modules()):
        raise ValueError("a quantised, prepacked or compiled model cannot be saved; save it before")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    head = model.config.head
    weights.write(model, folder, stored=names.stored(model, head, prefixed=head != "none"))
    precision = str(next(model.parameters()).dtype).removeprefix("torch.")
    said = {name: precision for name in ("dtype", "torch_dtype") if name in model.config.document}
    checkpoint.write_config(folder, {**model.config.document, **said})
