"""Our names of modules and lone parameters and Hugging Face's, one table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import nn

from pipeline.models.weights import Stored

MASK_EMBEDDING = "wav2vec2_bert.masked_spec_embed"

_MODEL = {
    "encoder.mask_embedding": MASK_EMBEDDING,
    "head": "lm_head",
    "encoder.projection.norm": "wav2vec2_bert.feature_projection.layer_norm",
    "encoder.projection.linear": "wav2vec2_bert.feature_projection.projection",
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


def stored(model: nn.Module) -> dict[str, Stored]:
    """How each parameter of a model lies in a Hugging Face checkpoint, by our name."""
    return {
        parameter: Stored(_name(parameter), _shape(_name(parameter), tuple(tensor.shape)))
        for parameter, tensor in model.named_parameters()
    }


def _name(parameter: str) -> str:
    in_block = re.fullmatch(r"encoder\.blocks\.(\d+)\.(.+)", parameter)
    if in_block is None:
        return _translated(parameter, _MODEL)
    return f"wav2vec2_bert.encoder.layers.{in_block[1]}.{_translated(in_block[2], _BLOCK)}"


def _translated(parameter: str, table: Mapping[str, str]) -> str:
    module, _, kind = parameter.rpartition(".")
    return table[parameter] if parameter in table else f"{table[module]}.{kind}"


def _shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if ".pointwise_conv" in name:
        return (*shape, 1)  # there a convolution over one frame, here a linear layer
    if ".depthwise_conv" in name:
        return (shape[0], 1, shape[1])  # there one channel a group
    return shape
