"""Our names of modules and lone parameters and Hugging Face's, one table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from pipeline.models.wav2vec2_bert.kinds import Head
from pipeline.models.weights import Stored

PREFIX = "wav2vec2_bert."
MASK_EMBEDDING = "wav2vec2_bert.masked_spec_embed"

_MODEL = {
    "encoder.spec_augment.embedding": MASK_EMBEDDING,
    "encoder.projection.norm": "wav2vec2_bert.feature_projection.layer_norm",
    "encoder.projection.linear": "wav2vec2_bert.feature_projection.projection",
    "top.adapter.intermediate.widen": "wav2vec2_bert.intermediate_ffn.intermediate_dense",
    "top.adapter.intermediate.narrow": "wav2vec2_bert.intermediate_ffn.output_dense",
    "top.adapter.project.0": "wav2vec2_bert.adapter.proj",
    "top.adapter.project.1": "wav2vec2_bert.adapter.proj_layer_norm",
    "top.weights": "layer_weights",
}
_HEADS: Mapping[Head, Mapping[str, str]] = {
    "none": {},
    "ctc": {"head": "lm_head"},
    "frames": {"head": "classifier"},
    "classes": {"project": "projector", "head": "classifier"},
    "xvector": {
        "project": "projector",
        "embed": "feature_extractor",
        "head": "classifier",
        "class_vectors": "objective.weight",
    },
}
_BLOCK = {
    "feed_forward_1.norm": "ffn1_layer_norm",
    "feed_forward_1.widen": "ffn1.intermediate_dense",
    "feed_forward_1.narrow": "ffn1.output_dense",
    "attention.norm": "self_attn_layer_norm",
    "attention.query": "self_attn.linear_q",
    "attention.key": "self_attn.linear_k",
    "attention.value": "self_attn.linear_v",
    "attention.positions": "self_attn.distance_embedding",
    "attention.positions.linear": "self_attn.linear_pos",
    "attention.positions.content_bias": "self_attn.pos_bias_u",
    "attention.positions.distance_bias": "self_attn.pos_bias_v",
    "attention.out": "self_attn.linear_out",
    "convolution.norm": "conv_module.layer_norm",
    "convolution.gated": "conv_module.pointwise_conv1",
    "convolution.depthwise": "conv_module.depthwise_conv",
    "convolution.depthwise_norm": "conv_module.depthwise_layer_norm",
    "convolution.out": "conv_module.pointwise_conv2",
    "feed_forward_2.norm": "ffn2_layer_norm",
    "feed_forward_2.widen": "ffn2.intermediate_dense",
    "feed_forward_2.narrow": "ffn2.output_dense",
    "norm": "final_layer_norm",
}
_ADAPTER_LAYER = {
    "residual.norm": "residual_layer_norm",
    "residual": "residual_conv",
    "pooled.norm": "self_attn_layer_norm",
    "pooled": "self_attn_conv",
    "attention.query": "self_attn.linear_q",
    "attention.key": "self_attn.linear_k",
    "attention.value": "self_attn.linear_v",
    "attention.out": "self_attn.linear_out",
    "feed_forward.norm": "ffn_layer_norm",
    "feed_forward.widen": "ffn.intermediate_dense",
    "feed_forward.narrow": "ffn.output_dense",
}
_LISTS = {
    "encoder.blocks": ("wav2vec2_bert.encoder.layers", _BLOCK),
    "tdnn": ("tdnn", {"linear": "kernel"}),
    "top.adapter.layers": ("wav2vec2_bert.adapter.layers", _ADAPTER_LAYER),
}


def stored(model: nn.Module, head: Head, *, prefixed: bool = True) -> dict[str, Stored]:
    """How each parameter of a model lies in a Hugging Face checkpoint, by our name.

    Args:
        model: one of ours.
        head: what stands on its encoder.
        prefixed: whether the encoder's names begin with `PREFIX`; a checkpoint without a head may leave it out.
    """
    table = {**_MODEL, **_HEADS[head]}
    entries = {}
    for parameter, tensor in model.named_parameters():
        name = _name(parameter, table)
        entries[parameter] = Stored(name if prefixed else name.removeprefix(PREFIX), _shape(name, tuple(tensor.shape)))
    return entries


def is_mask(name: str) -> bool:
    """Whether a stored name is of the vector that only training uses."""
    return name in (MASK_EMBEDDING, MASK_EMBEDDING.removeprefix(PREFIX))


def of_encoder(name: str) -> bool:
    """Whether a stored name, prefixed, is of the encoder or its adapter, not of a head."""
    return name.startswith(PREFIX)


def _name(parameter: str, table: Mapping[str, str]) -> str:
    for ours, (theirs, members) in _LISTS.items():
        if member := re.fullmatch(rf"{re.escape(ours)}\.(\d+)\.(.+)", parameter):
            return f"{theirs}.{member[1]}.{_translated(member[2], members)}"
    return _translated(parameter, table)


def _translated(parameter: str, table: Mapping[str, str]) -> str:
    module, _, kind = parameter.rpartition(".")
    return table[parameter] if parameter in table else f"{table[module]}.{kind}"


def _shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if ".pointwise_conv" in name:
        return (*shape, 1)  # there a convolution over one frame, here a linear layer
    if ".depthwise_conv" in name:
        return (shape[0], 1, shape[1])  # there one channel a group
    return shape
