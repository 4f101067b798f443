"""What a Wav2Vec2-BERT's config.json says, checked, as far as inference with a CTC head depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pipeline.errors import UserError

MODEL_TYPE = "wav2vec2-bert"
ARCHITECTURE = "Wav2Vec2BertForCTC"

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: Mapping[str, Activation] = {
    "swish": partial(F.silu, inplace=True),
    "silu": partial(F.silu, inplace=True),
    "relu": partial(F.relu, inplace=True),
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
}
"""By the names that `hidden_act` has in a config.json; they may overwrite their input, to spare memory."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The fields that shape the model; defaults are those of `facebook/w2v-bert-2.0`."""

    document: Mapping[str, Any]
    """All of config.json as it was read, to be written back unchanged."""
    vocab_size: int
    """V, tokens that the CTC head scores, blank included."""
    hidden_size: int = 1024
    """d, channels of the encoder."""
    num_hidden_layers: int = 24
    """Blocks of the encoder."""
    num_attention_heads: int = 16
    """H; divides `hidden_size`."""
    intermediate_size: int = 4096
    """Channels inside a feed-forward."""
    feature_projection_input_dim: int = 160
    """Features of one frame: two stacked frames of 80 mel bins."""
    hidden_act: str = "swish"
    """Name of the activation in feed-forwards and convolutions."""
    layer_norm_eps: float = 1e-5
    """Added to the variance in every layer norm."""
    position_embeddings_type: str | None = "relative_key"
    """How attention knows positions."""
    left_max_position_embeddings: int = 64
    """Distance in frames to the left beyond which `relative_key` tells no more."""
    right_max_position_embeddings: int = 8
    """The same to the right."""
    conv_depthwise_kernel_size: int = 31
    """Frames that the causal convolution sees: this one and those before it; odd."""
    mask_time_prob: float = 0.05
    """Share of frames masked in training; this or `mask_feature_prob` above 0 means a mask embedding."""
    mask_feature_prob: float = 0.0
    """Share of channels masked in training."""

    @property
    def has_mask_embedding(self) -> bool:
        """Whether the checkpoint holds the vector that stands in for masked frames in training."""
        return self.mask_time_prob > 0 or self.mask_feature_prob > 0

    @classmethod
    def read(cls, document: Mapping[str, Any], *, where: str) -> Config:
        """Make it from a parsed config.json; `where` is what messages call the checkpoint.

        Raises:
            UserError: naming every field, with its value, that we do not run or that contradicts another.
        """
        _refuse(where, _of_another_model(document), "Voxmill runs Wav2Vec2-BERT with a CTC head")
        given = {f.name: document[f.name] for f in fields(cls) if f.name in document}
        config = cls(document=dict(document), **{"vocab_size": None, **given})
        _refuse(where, _malformed(config), "no Wav2Vec2-BERT can be made of that")
        _refuse(where, _unsupported(config), "Voxmill runs relative_key positions without an adapter")
        return config


def _refuse(where: str, faults: Iterator[str], because: str) -> None:
    said = "; ".join(faults)
    if said:
        raise UserError(f"{where}: config.json says {said}; {because}.")


def _of_another_model(document: Mapping[str, Any]) -> Iterator[str]:
    architectures = document.get("architectures")
    if architectures not in (None, [], [ARCHITECTURE]):
        yield f"architectures={_show(architectures)}"
    elif document.get("model_type") != MODEL_TYPE:
        yield f"model_type={_show(document.get('model_type'))}"


def _unsupported(config: Config) -> Iterator[str]:
    if config.position_embeddings_type != "relative_key":
        yield f"position_embeddings_type={_show(config.position_embeddings_type)}"
    for name in ("add_adapter", "use_intermediate_ffn_before_adapter", "quantization_config"):
        if config.document.get(name):
            yield f"{name}={_show(config.document[name])}"


def _malformed(config: Config) -> Iterator[str]:
    counts = [f.name for f in fields(config) if f.type == "int"]
    not_counts = [name for name in counts if not _is_count(getattr(config, name), name)]
    for name in not_counts:
        yield f"{name}={_show(getattr(config, name))} (must be a whole number, at least {_least(name)})"
    for name in ("layer_norm_eps", "mask_time_prob", "mask_feature_prob"):
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            yield f"{name}={_show(value)} (must be a number, at least 0)"
    if not isinstance(config.hidden_act, str) or config.hidden_act not in ACTIVATIONS:
        yield f"hidden_act={_show(config.hidden_act)} (must be one of {', '.join(ACTIVATIONS)})"
    if not_counts:
        return
    if config.hidden_size % config.num_attention_heads:
        yield (
            f"hidden_size={config.hidden_size}, num_attention_heads={config.num_attention_heads} "
            "(the second must divide the first)"
        )
    if config.conv_depthwise_kernel_size % 2 == 0:
        yield f"conv_depthwise_kernel_size={config.conv_depthwise_kernel_size} (must be odd)"


def _is_count(value: object, name: str) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= _least(name)


def _least(name: str) -> int:
    return 0 if name.endswith("max_position_embeddings") else 1


def _show(value: object) -> str:
    return json.dumps(value)
