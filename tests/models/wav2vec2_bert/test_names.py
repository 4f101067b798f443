from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
import transformers
from transformers import Wav2Vec2BertConfig

from pipeline.models.wav2vec2_bert.config import Config
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES, Head
from pipeline.models.wav2vec2_bert.model import make
from pipeline.models.wav2vec2_bert.names import stored

SIZES = {"hidden_size": 8, "num_hidden_layers": 11, "num_attention_heads": 2, "intermediate_size": 12, "vocab_size": 5}
ADAPTER = {"add_adapter": True, "use_intermediate_ffn_before_adapter": True, "num_adapter_layers": 2}


def check(head: Head, **fields: Any) -> None:
    with torch.device("meta"):
        config = Wav2Vec2BertConfig(**SIZES, **fields, architectures=[ARCHITECTURES[head]])
        theirs = getattr(transformers, ARCHITECTURES[head])(config).state_dict()
        ours = make(Config.read(config.to_dict(), where="foo"), kernel="plain")
    entries = stored(ours, head, prefixed=head != "none")
    shapes = {entry.name: entry.shape for entry in entries.values()}
    assert shapes == {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    assert len(entries) == len(shapes)


@pytest.mark.parametrize("head", sorted(ARCHITECTURES))
def test_every_tensor_of_transformers_has_one_of_ours_with_its_shape(head: Head) -> None:
    for mask_time_prob, weighted in product((0.05, 0.0), (False, True)):
        check(head, mask_time_prob=mask_time_prob, use_weighted_layer_sum=weighted)


@pytest.mark.parametrize("positions", [None, "relative_key", "relative", "rotary"])
def test_so_have_those_of_positions_and_adapters(positions: str | None) -> None:
    check("ctc", position_embeddings_type=positions, output_hidden_size=6, **ADAPTER)
    check("xvector", position_embeddings_type=positions, **ADAPTER)
