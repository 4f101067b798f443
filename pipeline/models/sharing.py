"""Which checkpoints hold the same encoder: those share one pass."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from pipeline.models import checkpoint, weights
from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.names import PREFIX, is_mask

_SHAPING = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "feature_projection_input_dim",
    "hidden_act", "layer_norm_eps", "conv_depthwise_kernel_size", "position_embeddings_type",
    "left_max_position_embeddings", "right_max_position_embeddings", "rotary_embedding_base", "add_adapter",
)  # fmt: skip
"""Fields of config.json that change what an encoder computes."""


def encoder_fingerprint(path: str | os.PathLike[str]) -> str:
    """Hash what of a checkpoint makes its encoder's output: 64 hex digits.

    That is the values of the encoder's tensors, in whatever precision they are stored, and the fields of config.json
    that shape it. What stands for masked frames in training does not count.

    Raises:
        UserError: the checkpoint is absent, damaged or none that we run.
    """
    folder, where = Path(path), os.fspath(path)
    config = Config.read(checkpoint.read_config(folder, where=where), where=where)
    digest = hashlib.sha256(json.dumps({name: getattr(config, name) for name in _SHAPING}).encode())
    of_encoder = {
        name.removeprefix(PREFIX): name
        for name in weights.names(folder, where=where)
        if not is_mask(name) and (name.startswith(PREFIX) or config.head == "none")
    }
    for short, name in sorted(of_encoder.items()):
        tensor = weights.read(folder, name, where=where).float()
        digest.update(f"{short}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
