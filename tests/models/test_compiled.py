"""Compiled blocks compute what plain ones do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._dynamo.utils import counters

from pipeline import models
from pipeline.models import compiled, inspection
from pipeline.models.compiled import CompiledBlock
from pipeline.models.layout import Packed
from pipeline.models.packed_attention import prepare
from pipeline.models.wav2vec2_bert.convolution import CausalDepthwise
from tests.parity.test_wav2vec2_bert_heads import ours_of, theirs_of


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The halves of a block as Python runs them: the compiler must only make them faster."""
    halves = (compiled._before_attention, compiled._after_attention)
    monkeypatch.setattr(compiled, "_halves", lambda: halves)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(1, 9))
def test_the_convolution_without_gaps_is_the_one_with_them(lengths: list[int], kernel_size: int) -> None:
    generator = torch.Generator().manual_seed(sum(lengths))
    depthwise, layout = CausalDepthwise(6, kernel_size), Packed(tuple(lengths))
    depthwise.weight = nn.Parameter(torch.randn(6, kernel_size, generator=generator), requires_grad=False)
    frames = torch.randn(sum(lengths), 6, generator=generator)
    ours = compiled._depthwise(frames, depthwise.weight, layout.positions)
    torch.testing.assert_close(ours, depthwise(frames, layout), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("positions", [None, "relative", "relative_key", "rotary"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_hears_the_same(uncompiled: None, positions: str | None, dtype: torch.dtype) -> None:
    model = ours_of(theirs_of("ctc", num_hidden_layers=2, position_embeddings_type=positions)).to(dtype)
    features, layout = torch.randn(70, 10, generator=torch.Generator().manual_seed(0)), Packed((40, 29, 1))
    with torch.inference_mode():
        plain = model.forward_packed(features, layout).logits
        changed = models.compile_blocks(model).forward_packed(features, layout).logits
    assert all(isinstance(block, CompiledBlock) for block in model.encoder.blocks) == (positions != "relative")
    bound = 1e-4 if dtype == torch.float32 else 0.05
    assert (plain - changed).abs().max() <= bound * plain.abs().max()


def test_a_compiled_model_is_not_saved(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="compiled model cannot be saved"):
        models.save(models.compile_blocks(models.load(checkpoint)), tmp_path)


def test_a_compiled_model_is_not_trained(uncompiled: None, checkpoint: Path) -> None:
    model = models.compile_blocks(models.load(checkpoint))
    frames, layout = torch.zeros(9, 160), Packed((9,))
    with pytest.raises(ValueError, match="for inference"):
        model.train().forward_packed(frames, layout)
    model.eval().forward_packed(frames, layout)


def test_states_and_attention_of_a_compiled_model_are_those_of_the_plain_one(
    uncompiled: None, checkpoint: Path
) -> None:
    plain, changed = models.load(checkpoint), models.compile_blocks(models.load(checkpoint))
    frames, layout = torch.randn(40, 160, generator=torch.Generator().manual_seed(0)), Packed((30, 9, 1))
    for look in (inspection.hidden_states, inspection.attention_maps):
        for ours, wanted in zip(look(changed, frames, layout), look(plain, frames, layout), strict=True):
            torch.testing.assert_close(ours, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.slow  # 15 s in quiet: the compiler
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # torch's own, on compiling
def test_it_is_compiled_once_for_all_blocks_and_batches(
    make_checkpoint: Callable[..., Path], cxx_compiler: str
) -> None:
    model = models.load(make_checkpoint(conv_depthwise_kernel_size=3))
    plain, before = list(model.encoder.blocks), counters["stats"]["unique_graphs"]
    models.compile_blocks(model)
    with torch.inference_mode():
        for lengths in ((50, 30, 7), (128,), (3, 4, 90, 2, 2)):
            layout, frames = Packed(lengths), torch.randn(sum(lengths), 16)
            attend = prepare("plain", layout)
            for block, other in zip(plain, model.encoder.blocks, strict=True):
                wanted = block(frames, layout, attend)
                torch.testing.assert_close(other(frames, layout, attend), wanted, atol=1e-5, rtol=1e-4)
                frames = wanted
    assert counters["stats"]["unique_graphs"] == before + 2
