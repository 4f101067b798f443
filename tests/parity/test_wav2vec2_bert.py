"""The same numbers as transformers from the same checkpoint: whole, block by block, in half precision."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC
from transformers.utils import logging as transformers_logging

from pipeline import models
from pipeline.audio import Window
from pipeline.models.layout import Packed
from pipeline.models.packed_attention import prepare
from pipeline.models.predict import Predictor
from pipeline.models.wants import Want
from pipeline.models.wav2vec2_bert.activations import ACTIVATIONS
from pipeline.models.wav2vec2_bert.heads import CtcModel

transformers_logging.disable_progress_bar()
TOLERANCE = 1e-4


@contextmanager
def random_pair(**fields: Any) -> Iterator[tuple[CtcModel, Wav2Vec2BertForCTC]]:
    """Ours and theirs, from one checkpoint whose every parameter matters."""
    torch.manual_seed(0)
    theirs = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**fields)).eval().requires_grad_(False)
    for name, parameter in theirs.named_parameters():
        # As initialised, biases are 0, norms 1 and distances nearly nothing: mistakes with them would not show.
        scale = 0.5 if "distance_embedding" in name or parameter.ndim == 1 else parameter[0].numel() ** -0.5
        parameter.normal_(std=scale).add_(1.0 if "norm.weight" in name else 0.0)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        yield models.load(folder), theirs


def padded(lengths: list[int], num_features: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(lengths))
    features = torch.randn(len(lengths), max(lengths), num_features, generator=generator)
    return features, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def check_whole(ours: CtcModel, theirs: Wav2Vec2BertForCTC, lengths: list[int]) -> None:
    """Our padded batch against their recordings alone, and against their padded batch."""
    features, valid = padded(lengths, ours.config.feature_projection_input_dim)
    with torch.inference_mode():
        logits = ours(features, lengths).logits
        together = theirs(features, attention_mask=valid.long()).logits
        for row, length in enumerate(lengths):
            alone = theirs(features[row : row + 1, :length]).logits[0]
            torch.testing.assert_close(logits[row, :length], alone, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(logits[valid], together[valid], atol=TOLERANCE, rtol=0)


def test_the_demo_checkpoint(checkpoint: Path) -> None:
    theirs = Wav2Vec2BertForCTC.from_pretrained(checkpoint).eval()
    check_whole(models.load(checkpoint), theirs, [150, 1, 2, 77, 73, 74, 333, 16])


@pytest.mark.parametrize("budget", [1, 500, 10**6])
def test_one_long_recording_among_thirty_short_ones(checkpoint: Path, budget: int) -> None:
    lengths = [1551, *range(1, 61, 2)]  # 31 s, then odd numbers of frames
    features = torch.randn(sum(lengths), 160, generator=torch.Generator().manual_seed(0))
    theirs = Wav2Vec2BertForCTC.from_pretrained(checkpoint).eval()
    stops = list(itertools.accumulate(lengths))
    slices = [(stop - length, stop) for stop, length in zip(stops, lengths, strict=True)]
    predictor = Predictor({"ctc": models.load(checkpoint)}, frame_budget=budget)

    def logits_of(output: Any) -> tuple[Tensor, ...]:
        return (output.logits,)

    stretches = [[Window(start, stop, start, stop)] for start, stop in slices]
    found = predictor.run(features.numpy(), stretches, {"w": Want("ctc", logits_of)})["w"]
    for (start, stop), (logits,) in zip(slices, found, strict=True):
        with torch.inference_mode():
            alone = theirs(features[None, start:stop]).logits[0]
        torch.testing.assert_close(torch.from_numpy(logits), alone, atol=TOLERANCE, rtol=0)


SHAPES = st.fixed_dictionaries(
    {
        "num_attention_heads": st.sampled_from([1, 2, 3]),
        "num_hidden_layers": st.integers(1, 3),
        "intermediate_size": st.sampled_from([8, 40]),
        "feature_projection_input_dim": st.sampled_from([6, 160]),
        "conv_depthwise_kernel_size": st.sampled_from([1, 3, 31]),
        "left_max_position_embeddings": st.integers(0, 12),
        "right_max_position_embeddings": st.integers(0, 12),
        "hidden_act": st.sampled_from(sorted(ACTIVATIONS)),
        "position_embeddings_type": st.sampled_from([None, "relative_key", "relative", "rotary"]),
        "layer_norm_eps": st.sampled_from([1e-5, 1e-3]),
        "mask_time_prob": st.sampled_from([0.0, 0.05]),
        "vocab_size": st.integers(1, 40),
    }
)


@settings(deadline=None, max_examples=15, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(SHAPES, st.sampled_from([2, 4, 8]), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_random_checkpoints(shape: dict[str, Any], head_size: int, lengths: list[int]) -> None:
    hidden_size = head_size * shape["num_attention_heads"] * 2
    with random_pair(hidden_size=hidden_size, **shape) as (ours, theirs):
        check_whole(ours, theirs, [*lengths, 1, 2, 27])


@pytest.mark.parametrize(("kernel_size", "positions"), [(3, "relative_key"), (31, "relative")])
def test_full_width_block(kernel_size: int, positions: str) -> None:
    fields = {"num_hidden_layers": 1, "vocab_size": 32, "conv_depthwise_kernel_size": kernel_size}
    fields["position_embeddings_type"] = positions
    with random_pair(**fields) as (ours, theirs):
        check_whole(ours, theirs, [90, 33])


def test_block_by_block(checkpoint: Path) -> None:
    ours, theirs = models.load(checkpoint), Wav2Vec2BertForCTC.from_pretrained(checkpoint).eval()
    layout = Packed((120,))
    frames = torch.randn(120, 144, generator=torch.Generator().manual_seed(0))
    features = torch.randn(120, 160, generator=torch.Generator().manual_seed(1))
    attend = prepare("plain", layout)
    with torch.inference_mode():
        projected = theirs.wav2vec2_bert.feature_projection(features[None])[0]
        close(ours.encoder.projection(features), projected)
        for block, layer in zip(ours.encoder.blocks, theirs.wav2vec2_bert.encoder.layers, strict=True):
            close(block.feed_forward_1(frames), layer.ffn1(layer.ffn1_layer_norm(frames[None])))
            close(block.attention(frames, layout, attend), layer.self_attn(layer.self_attn_layer_norm(frames[None]))[0])
            close(block.convolution(frames, layout), layer.conv_module(frames[None]))
            close(block.feed_forward_2(frames), layer.ffn2(layer.ffn2_layer_norm(frames[None])))
            close(block(frames, layout, attend), layer(frames[None]))
        close(ours.head(frames), theirs.lm_head(frames[None]))


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs[0], atol=TOLERANCE, rtol=0)


def test_half_precision_errs_no_more_than_theirs(checkpoint: Path) -> None:
    lengths = [150, 77, 201, 30]
    features, valid = padded(lengths, 160)
    with torch.inference_mode():
        exact = models.load(checkpoint, dtype=torch.float64)(features, lengths).logits[valid]
        ours = models.load(checkpoint, dtype=torch.bfloat16)(features, lengths).logits[valid]
        reference = Wav2Vec2BertForCTC.from_pretrained(checkpoint, dtype=torch.bfloat16).eval()
        theirs = reference(features.bfloat16(), attention_mask=valid.long()).logits[valid]
    assert (ours - exact).square().mean().sqrt() <= 1.25 * (theirs - exact).square().mean().sqrt()
    certain = exact.softmax(-1).max(-1).values > 0.6
    assert certain.sum() > 100
    assert ours.argmax(-1)[certain].eq(exact.argmax(-1)[certain]).float().mean() >= 0.99
