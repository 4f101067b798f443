"""Our parameter names and Hugging Face's, one table."""

from __future__ import annotations

import re

from torch import nn

from pipeline.models.weights import Stored

MASK_EMBEDDING = "wav2vec2_bert.masked_spec_embed"

_MODEL = {
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
    if parameter == "encoder.mask_embedding":
        return MASK_EMBEDDING
    module, _, kind = parameter.rpartition(".")
    in_block = re.fullmatch(r"encoder\.blocks\.(\d+)\.(.+)", module)
    if in_block is None:
        return f"{_MODEL[module]}.{kind}"
    return f"wav2vec2_bert.encoder.layers.{in_block[1]}.{_BLOCK[in_block[2]]}.{kind}"


def _shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if ".pointwise_conv" in name:
        return (*shape, 1)  # there a convolution over one frame, here a linear layer
    if ".depthwise_conv" in name:
        return (shape[0], 1, shape[1])  # there one channel a group
    return shape
