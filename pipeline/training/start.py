"""The model that a training starts from: a checkpoint's, another head on its encoder, or nothing but a config.json."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from pipeline import models
from pipeline.errors import UserError
from pipeline.models import Head, Model, checkpoint
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.kinds import head_of
from pipeline.models.wav2vec2_bert.model import make
from pipeline.models.wav2vec2_bert.xvector import XVectorModel


def read(path_or_hub_id: str, *, from_scratch: bool) -> Config:
    """What the checkpoint's config.json says, before any weight is read.

    Raises:
        UserError: there is none, or it is of a model that we do not run.
    """
    if not path_or_hub_id:
        raise UserError("--model is needed: a checkpoint folder or hub id of Wav2Vec2-BERT to start from")
    folder = checkpoint.resolve(path_or_hub_id)
    document = checkpoint.read_config(folder, where=path_or_hub_id)
    if not from_scratch:
        # Missing weights are a mistake unless somebody says otherwise.
        checkpoint.weight_files(folder, where=path_or_hub_id)
        return Config.read(document, where=path_or_hub_id)
    # A configuration that names no head, or no vocabulary yet, is enough to start from.
    return Config.read(document, where=path_or_hub_id, head="none" if not document.get("vocab_size") else None)


def model_of(
    config: Config, path_or_hub_id: str, *, head: Head, changes: Mapping[str, Any], keep_head: bool, from_scratch: bool
) -> Model:
    """Make the model that is trained.

    Args:
        config: of the checkpoint, from `read`.
        path_or_hub_id: the checkpoint.
        head: what shall stand on the encoder.
        changes: fields of config.json that become others.
        keep_head: take the checkpoint's head too, as far as its shapes stay; otherwise it is random.
        from_scratch: take nothing; all is random.

    Raises:
        UserError: for changes that contradict the rest, or weights that cannot be read.
    """
    document = {key: value for key, value in {**config.document, **changes}.items() if value is not None}
    model = _fresh(Config.read(document, where=path_or_hub_id, head=head))
    if from_scratch:
        return model
    base = models.load(path_or_hub_id, head=None if keep_head else "none", kernel="plain")
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = {name: tensor for name, tensor in base.state_dict().items() if shapes.get(name) == tensor.shape}
    missing = [name for name in shapes if name.startswith("encoder.") and name not in state and "spec_aug" not in name]
    if missing:
        raise UserError(
            f"{path_or_hub_id}: --model-config changes the shape of {missing[0]} and {len(missing) - 1} other tensors "
            "of the encoder; change only what leaves them, or train --from-scratch"
        )
    model.load_state_dict(state, strict=False)
    return model


def changes_for_labels(names: tuple[str, ...], *, problem_type: str | None) -> dict[str, Any]:
    """Fields of config.json that name classes."""
    return {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        "num_labels": None,
        "problem_type": problem_type,
    }


def parse_changes(spec: str) -> dict[str, Any]:
    """Fields in `hidden_dropout=0.1,use_weighted_layer_sum=true`; a value is JSON, or else text.

    Raises:
        UserError: for what is no such list.
    """
    changes: dict[str, Any] = {}
    for part in filter(None, spec.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UserError(f"--model-config: {part!r} is no field and value; write it as hidden_dropout=0.1")
        try:
            changes[name.strip()] = json.loads(value)
        except ValueError:
            changes[name.strip()] = value.strip()
    return changes


def _fresh(config: Config) -> Model:
    """A model with random weights: PyTorch's own layers as PyTorch draws them, all others so that variances stay."""
    model = make(config, kernel="plain")
    known = {id(parameter) for module in model.modules() if _draws(module) for parameter in module.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) in known:
            continue
        if name.endswith("class_vectors"):
            nn.init.normal_(parameter)
        elif name.endswith("spec_augment.embedding"):
            nn.init.uniform_(parameter)
        elif parameter.ndim > 1:
            nn.init.normal_(parameter, std=math.prod(parameter.shape[1:]) ** -0.5)
        else:
            nn.init.zeros_(parameter)
    if isinstance(model, XVectorModel):
        # What is trained is then what is compared: the loss sees the embedding itself.
        nn.init.eye_(model.head.weight)
        nn.init.zeros_(model.head.bias)
    return model


def _draws(module: nn.Module) -> bool:
    """Whether a module fills its parameters when it is made."""
    return isinstance(module, nn.Linear | nn.LayerNorm)


def head_in(config: Config) -> Head | None:
    """What stands on the checkpoint's encoder."""
    return head_of(config.document)


def on_device(model: Model, device: torch.device) -> Model:
    """The model where it is trained; all its parameters learn, but for what stands between embedding and loss."""
    moved: Model = model.to(device)
    moved.requires_grad_(True)
    if isinstance(moved, XVectorModel):
        moved.head.requires_grad_(False)
    return moved
