"""The adapter network against transformers, recordings run alone: there its padding leaks into the last frame."""

from __future__ import annotations

import tempfile
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC
from transformers.utils import logging as transformers_logging

from pipeline import models
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.adapter import Adapter
from pipeline.models.wav2vec2_bert.config import Config

transformers_logging.disable_progress_bar()
SIZES = {"hidden_size": 16, "intermediate_size": 24, "vocab_size": 7, "conv_depthwise_kernel_size": 3}
SIZES |= {"num_attention_heads": 2, "num_hidden_layers": 1, "feature_projection_input_dim": 10, "add_adapter": True}

SHAPES = st.fixed_dictionaries(
    {
        "adapter_kernel_size": st.integers(1, 4),
        "adapter_stride": st.integers(1, 4),
        "num_adapter_layers": st.integers(0, 2),
        "adapter_act": st.sampled_from(["relu", "gelu_new"]),
        "use_intermediate_ffn_before_adapter": st.booleans(),
        "output_hidden_size": st.sampled_from([None, 12]),
        "position_embeddings_type": st.sampled_from([None, "relative", "relative_key", "rotary"]),
    }
)


@settings(deadline=None, max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES, st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_random_adapters(shape: dict[str, Any], lengths: list[int]) -> None:
    torch.manual_seed(0)
    theirs = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**SIZES, **shape)).eval().requires_grad_(False)
    for parameter in theirs.parameters():
        parameter.normal_(std=0.5 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = models.load(folder)
    documents = torch.randn(sum(lengths), 10, generator=torch.Generator().manual_seed(1)).split(lengths)
    packed = ours.forward_packed(torch.cat(documents), Packed(tuple(lengths)))
    padded = ours(torch.nn.utils.rnn.pad_sequence(documents, batch_first=True, padding_value=9.0), lengths)
    assert padded.lengths == packed.lengths
    assert len(packed.logits) == len(packed.hidden_state) == sum(packed.lengths)
    for row, (document, logits) in enumerate(zip(documents, packed.logits.split(packed.lengths), strict=True)):
        if len(logits):
            with torch.inference_mode():
                alone = theirs(document[None]).logits[0]
            torch.testing.assert_close(logits, alone, atol=1e-4, rtol=0)
        torch.testing.assert_close(padded.logits[row, : len(logits)], logits, atol=1e-4, rtol=0)
        assert padded.logits[row, len(logits) :].eq(0).all()
        assert ours(document[None], [len(document)]).lengths == (len(logits),)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers(1, 200))
def test_lengths_follow_the_documented_formula(kernel_size: int, stride: int, layers: int, length: int) -> None:
    assume(kernel_size // 2 == stride // 2)  # elsewhere their formula counts other frames than their convolution gives
    shape = {"adapter_kernel_size": kernel_size, "adapter_stride": stride, "num_adapter_layers": layers}
    config = Wav2Vec2BertConfig(**SIZES, **shape)
    documented = Wav2Vec2BertForCTC._get_feat_extract_output_lengths(StandIn(config), torch.tensor(length))
    ours = Adapter(Config.read({**config.to_dict(), "architectures": None}, where="foo"), kernel="plain")
    assert ours.length(length) == max(0, int(documented))


class StandIn:
    """What the formula reads of their model."""

    def __init__(self, config: Wav2Vec2BertConfig) -> None:
        self.config = config


def test_recordings_too_short_for_the_adapter_have_no_frames_and_harm_no_other(tmp_path: Any) -> None:
    shape = {"adapter_kernel_size": 5, "adapter_stride": 2, "num_adapter_layers": 2}
    Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**SIZES, **shape)).save_pretrained(tmp_path)
    model = models.load(tmp_path)
    features = torch.randn(4, 20, 10, generator=torch.Generator().manual_seed(0))
    output = model(features, [2, 20, 0, 3])
    assert output.lengths == (0, 4, 0, 0)
    assert output.logits.shape == (4, 4, 7)
    assert output.logits[[0, 2, 3]].eq(0).all()
    torch.testing.assert_close(output.logits[1], model(features[1:2], [20]).logits[0], atol=1e-5, rtol=0)
    assert model(features[:1], [2]).logits.shape == (1, 4, 7)
    assert model.forward_packed(features[0, :2], Packed((2,))).logits.shape == (0, 7)


@pytest.mark.parametrize("lengths", [[0, 0], [0]])
def test_a_batch_without_frames_is_allowed(tmp_path: Any, lengths: list[int]) -> None:
    Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**SIZES)).save_pretrained(tmp_path)
    assert models.load(tmp_path)(torch.randn(len(lengths), 6, 10), lengths).lengths == (0,) * len(lengths)
