"""What a config.json may not say: each fault names its field and value, and all are told at once."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pipeline.documents import is_text
from pipeline.errors import UserError
from pipeline.models.wav2vec2_bert.activations import ACTIVATIONS
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES, MODEL_TYPE, head_of

if TYPE_CHECKING:
    from pipeline.models.wav2vec2_bert.config import Config

POSITION_TYPES = (None, "relative_key", "relative", "rotary")
_FROM_ZERO = (
    *("max_position_embeddings", "_min_masks", "_adapter_layers", "_token_id"),
    *("_dropout", "_prob", "_eps", "layerdrop", "initializer_range"),
)
"""How names of fields end that may be 0."""
_MOST_SIZE, _MOST_LAYERS, _MOST_LABELS = 2**24, 1_000, 1_000_000
"""Sizes beyond are no model's; the meta device would make them, and take for ever."""
_UNBOUNDED = ("_token_id", "max_source_positions", "rotary_embedding_base")
"""How names of whole numbers end that nothing is made of."""
_SHARES = ("_dropout", "layerdrop", "_prob")
"""How names of fields end that are shares, 0 to 1."""
_CTC_REDUCTIONS = ("sum", "mean", "none")


def check_kind(document: Mapping[str, Any], *, where: str) -> None:
    """Refuse a config.json of another model."""
    _refuse(where, _of_another_model(document), f"Voxmill runs Wav2Vec2-BERT as {', '.join(ARCHITECTURES.values())}")


def check_fields(config: Config, *, where: str) -> None:
    """Refuse fields that are no numbers, names or flags of the right kind, or contradict each other."""
    _refuse(where, _malformed(config), "no Wav2Vec2-BERT can be made of that")
    _refuse(where, _contradictory(config), "no Wav2Vec2-BERT can be made of that")
    _refuse(where, _unsupported(config), "Voxmill reads no quantised weights")


def _refuse(where: str, faults: Iterator[str], because: str) -> None:
    said = "; ".join(faults)
    if said:
        raise UserError(f"{where}: config.json says {said}; {because}.")


def _of_another_model(document: Mapping[str, Any]) -> Iterator[str]:
    if head_of(document) is None:
        yield f"architectures={_show(document['architectures'])}"
    elif document.get("model_type") != MODEL_TYPE:
        yield f"model_type={_show(document.get('model_type'))}"


def _unsupported(config: Config) -> Iterator[str]:
    if config.document.get("quantization_config"):
        yield f"quantization_config={_show(config.document['quantization_config'])}"


def _malformed(config: Config) -> Iterator[str]:
    for field in fields(config):
        value = getattr(config, field.name)
        if field.type in _KINDS:
            fits, must = _KINDS[str(field.type)]
            least = 0 if field.name == "vocab_size" and config.head != "ctc" else _least(field.name)
            if not fits(value, least):
                yield f"{_said(config, field.name)} (must be {must.format(least)})"
            elif field.name.endswith(_SHARES) and value > 1:
                yield f"{_said(config, field.name)} (must be a share, at most 1)"
            elif any(each > _most(field.name) for each in _whole_of(value)):
                yield f"{_said(config, field.name)} (must be at most {_most(field.name):,})"
    yield from _not_among(config, "position_embeddings_type", POSITION_TYPES)
    yield from _not_among(config, "ctc_loss_reduction", _CTC_REDUCTIONS)
    yield from _not_among(config, "hidden_act", tuple(ACTIVATIONS))
    if config.add_adapter:
        yield from _not_among(config, "adapter_act", tuple(ACTIVATIONS))
    labels = config.document.get("num_labels")
    if not _is_whole_or_null(labels, 1) or (labels or 0) > _MOST_LABELS:
        yield f"{_said(config, 'num_labels')} (must be null or a whole number, 1 to {_MOST_LABELS:,})"
    if not _are_labels(config.document.get("id2label")):
        yield f"id2label={_show(config.document['id2label'])} (must name classes 0, 1, 2 and so on)"
    elif nameless := [item for item in (config.document.get("id2label") or {}).items() if not is_text(item[1])]:
        yield f"id2label={_show(dict(nameless[:1]))} (must name each class with text that UTF-8 can hold)"


def _not_among(config: Config, name: str, choices: tuple[str | None, ...]) -> Iterator[str]:
    if getattr(config, name) not in choices:
        yield f"{_said(config, name)} (must be one of {', '.join(choice or 'null' for choice in choices)})"


def _contradictory(config: Config) -> Iterator[str]:
    """What single fields allow, but not together."""
    if config.hidden_size % config.num_attention_heads:
        yield f"{_said(config, 'hidden_size', 'num_attention_heads')} (the second must divide the first)"
    if config.conv_depthwise_kernel_size % 2 == 0:
        yield f"{_said(config, 'conv_depthwise_kernel_size')} (must be odd)"
    if config.position_embeddings_type == "relative" and config.hidden_size % 2:
        yield f"{_said(config, 'position_embeddings_type', 'hidden_size')} (the second must be even)"
    if config.position_embeddings_type == "rotary" and config.head_size % 2:
        names = ("position_embeddings_type", "hidden_size", "num_attention_heads")
        yield f"{_said(config, *names)} (a head must have an even number of channels)"
    if config.use_intermediate_ffn_before_adapter and not config.add_adapter:
        yield f"{_said(config, 'use_intermediate_ffn_before_adapter', 'add_adapter')} (the first needs the second)"
    if config.add_adapter and config.adapter_size % config.num_attention_heads:
        yield f"{_said(config, 'output_hidden_size', 'num_attention_heads')} (the second must divide the first)"
    if config.document.get("num_labels") not in (None, len(config.labels)):
        yield f"{_said(config, 'num_labels', 'id2label')} (must agree)"
    if config.add_adapter and config.head in ("frames", "classes"):
        yield f"{_said(config, 'add_adapter', 'architectures')} (such a head stands on no adapter)"
    sees_adapter = config.add_adapter and config.head == "xvector" and not config.use_weighted_layer_sum
    if sees_adapter and config.adapter_size != config.hidden_size:
        yield f"{_said(config, 'output_hidden_size', 'hidden_size')} (an x-vector stands on as many channels)"
    if not len(config.tdnn_dim) == len(config.tdnn_kernel) == len(config.tdnn_dilation):
        yield f"{_said(config, 'tdnn_dim', 'tdnn_kernel', 'tdnn_dilation')} (must be equally long)"


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= sys.float_info.max


def _is_flag(value: object, least: int) -> bool:
    return isinstance(value, bool)


def _are_whole(value: object, least: int) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and all(_is_whole(one, least) for one in value)


def _is_whole_or_null(value: object, least: int) -> bool:
    return value is None or _is_whole(value, least)


_KINDS: Mapping[str, tuple[Callable[[object, int], bool], str]] = {
    "int": (_is_whole, "a whole number, at least {}"),
    "float": (_is_number, "a number, at least {}"),
    "bool": (_is_flag, "true or false"),
    "tuple[int, ...]": (_are_whole, "a list of whole numbers, at least {}"),
    "int | None": (_is_whole_or_null, "null or a whole number, at least {}"),
}
"""By how `Config` types a field: whether a value fits, given the least, and how to say what would."""


def _least(name: str) -> int:
    return 0 if name.endswith(_FROM_ZERO) else 1


def _most(name: str) -> int:
    if name.endswith(_UNBOUNDED):
        return 2**62
    return _MOST_LAYERS if name.endswith("_layers") else _MOST_SIZE


def _whole_of(value: object) -> tuple[int, ...]:
    """The whole numbers of a field that fits."""
    if isinstance(value, tuple):
        return value
    return (value,) if isinstance(value, int) else ()


def _are_labels(named: object) -> bool:
    if named is None:
        return True
    return isinstance(named, dict) and sorted(map(str, named)) == sorted(map(str, range(len(named)))) and len(named) > 0


def _said(config: Config, *names: str) -> str:
    return ", ".join(f"{name}={_show(config.document.get(name, getattr(config, name, None)))}" for name in names)


def _show(value: object) -> str:
    return json.dumps(value)
