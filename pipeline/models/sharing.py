"""Which checkpoints hold the same encoder: those share one pass."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import UserError
from pipeline.models import checkpoint
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.names import PREFIX, is_mask

_SHAPING = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "feature_projection_input_dim",
    "hidden_act", "layer_norm_eps", "conv_depthwise_kernel_size", "position_embeddings_type",
    "left_max_position_embeddings", "right_max_position_embeddings", "rotary_embedding_base", "add_adapter",
)  # fmt: skip
"""Fields of config.json that change what an encoder computes."""
_FEATURES = ("preprocessor_config.json", "processor_config.json")
_HEADER_BYTES = 8
"""A safetensors file begins with the length of its JSON header, little-endian."""
_MOST_HEADER = 100 * 2**20
"""What the format's own readers allow."""
_BLOCK = 8 * 2**20


def encoder_fingerprint(path: str | os.PathLike[str]) -> str:
    """Hash what of a checkpoint makes its encoder's output: 64 hex digits.

    That is the tensors of the encoder, the fields of config.json that shape it, and the settings of the feature
    extractor. What stands for masked frames in training does not count.

    Raises:
        UserError: the checkpoint is absent, damaged or none that we run.
    """
    folder, where = Path(path), os.fspath(path)
    config = Config.read(checkpoint.read_config(folder, where=where), where=where)
    about = {name: getattr(config, name) for name in _SHAPING} | {"features": _feature_settings(folder)}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    tensors = {
        name.removeprefix(PREFIX): (file, entry)
        for file in checkpoint.weight_files(folder, where=where)
        for name, entry in _header(file, where=where).items()
        if not is_mask(name) and (name.startswith(PREFIX) or config.head == "none")
    }
    for name, (file, entry) in sorted(tensors.items()):
        digest.update(f"{name}\0{entry['dtype']}\0{entry['shape']}\0".encode())
        for block in _content(file, *entry["data_offsets"]):
            digest.update(block)
    return digest.hexdigest()


def _feature_settings(folder: Path) -> Any:
    """What the files say of the feature extractor; nothing where there are none."""
    for name in _FEATURES:
        if (folder / name).is_file():
            document = json.loads((folder / name).read_text(encoding="utf-8"))
            return document.get("feature_extractor", document)
    return None


def _header(file: Path, *, where: str) -> Mapping[str, Any]:
    """Name of each tensor -> `dtype`, `shape` and `data_offsets`."""
    with open(file, "rb") as stream:
        size = _header_size(stream)
        if size > min(_MOST_HEADER, file.stat().st_size):
            raise UserError(f"{where}: {file.name} is not a whole safetensors file; download it again.")
        try:
            header = json.loads(stream.read(size))
            return {name: entry for name, entry in header.items() if name != "__metadata__"}
        except (ValueError, AttributeError):
            raise UserError(f"{where}: {file.name} is not a whole safetensors file; download it again.") from None


def _header_size(stream: BinaryIO) -> int:
    return int.from_bytes(stream.read(_HEADER_BYTES), "little")


def _content(file: Path, start: int, stop: int) -> Iterator[bytes]:
    """Bytes of one tensor, a block at a time."""
    with open(file, "rb") as stream:
        # Offsets count from the end of the header.
        stream.seek(_header_size(stream) + _HEADER_BYTES + start)
        left = stop - start
        while left > 0 and (block := stream.read(min(_BLOCK, left))):
            left -= len(block)
            yield block
