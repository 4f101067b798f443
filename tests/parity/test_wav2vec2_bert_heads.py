"""Every head, position type and adapter against transformers with each recording alone; ours padded and packed."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from typing import Any

import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import PreTrainedModel, Wav2Vec2BertConfig
from transformers.utils import logging as transformers_logging

from pipeline import models
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES, Head
from pipeline.models.wav2vec2_bert.model import Model

transformers_logging.disable_progress_bar()
SIZES = {"hidden_size": 32, "intermediate_size": 40, "vocab_size": 7, "conv_depthwise_kernel_size": 5}
SIZES |= {"num_attention_heads": 2, "feature_projection_input_dim": 10, "classifier_proj_size": 12, "num_labels": 3}
SIZES |= {"tdnn_dim": (16, 12, 20), "tdnn_kernel": (3, 2, 1), "tdnn_dilation": (1, 2, 1), "xvector_output_dim": 9}
MEANS = {"hidden_state": "last_hidden_state", "logits": "logits", "embeddings": "embeddings"}

SHAPES = st.fixed_dictionaries(
    {
        "num_hidden_layers": st.integers(1, 3),
        "position_embeddings_type": st.sampled_from([None, "relative", "relative_key", "rotary"]),
        "use_weighted_layer_sum": st.booleans(),
        "add_adapter": st.booleans(),
        "use_intermediate_ffn_before_adapter": st.booleans(),
        "mask_time_prob": st.sampled_from([0.0, 0.05]),
    }
)


def theirs_of(head: Head, **fields: Any) -> PreTrainedModel:
    """A random model of transformers' whose every parameter matters."""
    torch.manual_seed(0)
    model = getattr(transformers, ARCHITECTURES[head])(Wav2Vec2BertConfig(**SIZES, **fields))
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            # Around 1: weights around 0 leave layer after layer less of what the frames differ in.
            parameter.data.normal_(mean=1.0, std=0.3)
        else:
            parameter.data.normal_(std=0.3 if parameter.ndim == 1 else parameter[0].numel() ** -0.5)
    return model.eval().requires_grad_(False)


def ours_of(theirs: PreTrainedModel) -> Model:
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return models.load(folder)


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-4 * max(1.0, theirs.abs().max())


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(ARCHITECTURES)), SHAPES, st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_random_checkpoints(head: Head, shape: dict[str, Any], lengths: list[int]) -> None:
    shape["add_adapter"] &= head not in ("frames", "classes")
    shape["use_intermediate_ffn_before_adapter"] &= shape["add_adapter"]
    if head == "xvector":  # alone, theirs has none for recordings shorter than its windows
        lengths = [length + 11 for length in lengths]
    theirs = theirs_of(head, **shape)
    ours = ours_of(theirs)
    documents = torch.randn(sum(lengths), 10, generator=torch.Generator().manual_seed(1)).split(lengths)
    padding = torch.nn.utils.rnn.pad_sequence(documents, batch_first=True, padding_value=torch.nan)
    with torch.inference_mode():
        alone = [theirs(document[None]) for document in documents]
        packed = asdict(ours.forward_packed(torch.cat(documents), Packed(tuple(lengths))))
        padded = asdict(ours(padding, lengths))
    left, by_frame = packed.pop("lengths", None), "lengths" in padded
    assert padded.pop("lengths", None) == left
    # Heads that transformers does not tell what they saw.
    for name in packed.keys() - ({"hidden_state"} if head != "none" else set()):
        for row, output in enumerate(alone):
            expected = output[MEANS[name]][0]
            close(packed[name].split(left)[row] if by_frame else packed[name][row], expected)
            close(padded[name][row, : left[row]] if by_frame else padded[name][row], expected)
            if by_frame:
                assert padded[name][row, left[row] :].eq(0).all()
    if head in ("frames", "classes"):
        valid = padding.isfinite().all(-1)
        with torch.inference_mode():
            together = theirs(padding.nan_to_num(), attention_mask=valid.long()).logits
        close(padded["logits"][valid] if by_frame else padded["logits"], together[valid] if by_frame else together)
