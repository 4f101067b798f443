"""Arranged weights give the numbers of plain ones."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline import models
from pipeline.models.layout import Packed
from pipeline.models.prepacked import PrepackedLinear
from pipeline.models.replacing import replace_linears
from tests.parity.test_wav2vec2_bert_heads import ours_of, theirs_of


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 33, 700])
def test_a_layer_is_the_plain_one(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 80, bias=bias)
    frames = torch.randn(rows, 96)
    with torch.inference_mode():
        torch.testing.assert_close(PrepackedLinear(linear)(frames), linear(frames), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("positions", [None, "relative", "relative_key", "rotary"])
def test_a_model_hears_the_same(positions: str | None) -> None:
    model = ours_of(theirs_of("ctc", num_hidden_layers=2, position_embeddings_type=positions))
    features, layout = torch.randn(70, 10, generator=torch.Generator().manual_seed(0)), Packed((40, 29, 1))
    with torch.inference_mode():
        plain = model.forward_packed(features, layout).logits
        arranged = models.prepack(model).forward_packed(features, layout).logits
    assert any(isinstance(module, PrepackedLinear) for module in model.modules())
    assert (plain - arranged).abs().max() <= 1e-4 * plain.abs().max()


def test_no_weights_are_kept_twice(checkpoint: Path) -> None:
    model = models.prepack(models.load(checkpoint))
    assert not any(isinstance(module, nn.Linear) for module in model.encoder.blocks.modules())
    plain = sum(parameter.numel() for parameter in models.load(checkpoint).encoder.blocks.parameters())
    assert sum(parameter.numel() for parameter in model.encoder.blocks.parameters()) < 0.1 * plain


def test_memory_has_one_layer_twice_and_no_more(checkpoint: Path) -> None:
    model = models.load(checkpoint)
    plain = [weakref.ref(module) for module in model.encoder.blocks.modules() if isinstance(module, nn.Linear)]
    alive: list[int] = []

    def make(linear: nn.Linear) -> nn.Module:
        alive.append(sum(each() is not None for each in plain))
        return PrepackedLinear(linear)

    replace_linears(model.encoder.blocks, make)
    assert alive == list(range(len(plain), 0, -1))


def test_eight_bits_and_arranged_weights_go_together(checkpoint: Path) -> None:
    features, layout = torch.randn(50, 160, generator=torch.Generator().manual_seed(0)), Packed((50,))
    with torch.inference_mode():
        whole = models.quantise(models.load(checkpoint))
        plain = whole.forward_packed(features, layout).logits
        arranged = models.prepack(whole).forward_packed(features, layout).logits
    assert (plain - arranged).abs().max() <= 0.03 * plain.abs().max()


def test_a_precision_that_the_kernels_do_not_have_stays_plain(checkpoint: Path) -> None:
    model = models.prepack(models.load(checkpoint, dtype=torch.float64))
    assert not any(isinstance(module, PrepackedLinear) for module in model.modules())


def test_an_arranged_model_is_not_saved_without_its_weights(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="save it before"):
        models.save(models.prepack(models.load(checkpoint)), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
