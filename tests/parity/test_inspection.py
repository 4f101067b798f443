"""States of all layers and attention maps against transformers, each recording alone there."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertModel
from transformers.utils import logging as transformers_logging

from pipeline import models
from pipeline.models.inspection import attention_maps, hidden_states
from pipeline.models.layout import Packed
from tests.parity.test_wav2vec2_bert_heads import ours_of, theirs_of

transformers_logging.disable_progress_bar()
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3, "num_attention_heads": 2}
SIZES |= {"feature_projection_input_dim": 10, "conv_depthwise_kernel_size": 5}
SIZES |= {"left_max_position_embeddings": 6, "right_max_position_embeddings": 3}
LENGTHS = (9, 1, 30, 30)


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("positions", [None, "relative_key", "relative", "rotary"])
def test_what_goes_on_inside(positions: str | None, adapter: bool) -> None:
    torch.manual_seed(0)
    config = Wav2Vec2BertConfig(**SIZES, position_embeddings_type=positions, add_adapter=adapter)
    config._attn_implementation = "eager"  # the only form of theirs that tells its weights
    theirs = Wav2Vec2BertModel(config).eval().requires_grad_(False)
    for parameter in theirs.parameters():
        parameter.normal_(std=0.5 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = models.load(folder)
    features = torch.randn(sum(LENGTHS), 10)
    states, maps = (inside(ours, features, Packed(LENGTHS)) for inside in (hidden_states, attention_maps))
    assert (len(states), len(maps)) == (4, 3)
    for row, document in enumerate(features.split(LENGTHS)):
        with torch.inference_mode():
            alone = theirs(document[None], output_hidden_states=True, output_attentions=True)
        for state, expected in zip(states, alone.hidden_states, strict=True):
            torch.testing.assert_close(state.split(LENGTHS)[row], expected[0], atol=1e-4, rtol=0)
        for weights, expected in zip(maps, alone.attentions, strict=True):
            assert weights[row].shape == (2, len(document), len(document))
            torch.testing.assert_close(weights[row], expected[0], atol=1e-5, rtol=0)


def test_to_look_changes_nothing(checkpoint: Any) -> None:
    model = models.load(checkpoint)
    features, layout = torch.randn(140, 160, generator=torch.Generator().manual_seed(0)), Packed((100, 40))
    output = model.forward_packed(features, layout)
    assert torch.equal(hidden_states(model, features, layout)[-1], output.hidden_state)
    maps = attention_maps(model, features, layout)[0]
    assert [weights.shape[-1] for weights in maps] == [100, 40]
    assert all(weights.sum(-1).sub(1).abs().max() < 1e-5 for weights in maps)


def test_attention_of_a_model_in_training_is_refused() -> None:
    model = ours_of(theirs_of("none", num_hidden_layers=1)).train()
    with pytest.raises(ValueError, match="call eval"):
        attention_maps(model, torch.zeros(3, 10), Packed((3,)))
