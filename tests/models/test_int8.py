"""Linear layers in 8 bits: the arithmetic, the batch, the text."""

from __future__ import annotations

from pathlib import Path

import pytest
import soxr
import torch
from torch import nn

from pipeline import models
from pipeline.audio import FeatureExtractor
from pipeline.models.int8 import Int8Linear
from pipeline.models.layout import Packed
from pipeline.models.predict import Predictor
from tests.digits import RATE, utterances


def by_definition(linear: nn.Linear, frames: torch.Tensor) -> torch.Tensor:
    """Whole numbers of a frame times whole numbers of a channel, in float64."""
    step_in, step_out = frames.abs().amax(1, keepdim=True) / 127, linear.weight.abs().amax(1) / 127
    whole = (linear.weight / step_out[:, None]).round().double()
    product = (frames / step_in).round().double() @ whole.T * step_in * step_out
    return product if linear.bias is None else product + linear.bias


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, 17, 300])
def test_products_are_of_whole_numbers(rows: int, bias: bool) -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 48, bias=bias)
    frames = torch.randn(rows, 64) * torch.logspace(-3, 3, rows)[:, None]
    with torch.inference_mode():
        ours = Int8Linear(linear)(frames)
        expected = by_definition(linear, frames)
        torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        exact = linear(frames)
    assert ((ours - exact).norm(dim=1) <= 0.02 * exact.norm(dim=1)).all()


def test_a_frame_of_zeros_gives_the_bias() -> None:
    linear = nn.Linear(16, 8)
    with torch.inference_mode():
        assert torch.equal(Int8Linear(linear)(torch.zeros(3, 16)), linear.bias.expand(3, -1))


def test_results_do_not_depend_on_what_else_is_in_the_batch(checkpoint: Path) -> None:
    model = models.quantise(models.load(checkpoint))
    recordings = torch.randn(260, 160, generator=torch.Generator().manual_seed(0)).split([120, 60, 80])
    with torch.inference_mode():
        together = model.forward_packed(torch.cat(recordings), Packed((120, 60, 80))).logits.split([120, 60, 80])
        for one, expected in zip(recordings, together, strict=True):
            alone = model.forward_packed(one * 1.0, Packed((len(one),))).logits
            assert (alone - expected).abs().max() <= 0.05 * expected.abs().max()
            assert torch.equal(alone.argmax(-1), expected.argmax(-1))


def test_the_text_of_human_digits_stays(speech: Path, checkpoint: Path) -> None:
    extract = FeatureExtractor.load(checkpoint)
    waveforms = [soxr.resample(each.samples, RATE, 16_000) for each in utterances(speech, count=200)]
    batch = [extract([waveform], sample_rate=16_000).features[0] for waveform in waveforms]
    features = torch.cat([torch.from_numpy(one) for one in batch]).numpy()
    stops = torch.tensor([len(one) for one in batch]).cumsum(0).tolist()
    slices = list(zip([0, *stops[:-1]], stops, strict=True))

    def texts(model: models.Model) -> list[list[int]]:
        best = Predictor(model).run(features, slices, reduce=lambda logits: (logits.argmax(-1),))
        paths = [torch.unique_consecutive(torch.from_numpy(ids)) for (ids,) in best]
        return [path[path != 0].tolist() for path in paths]

    exact = texts(models.load(checkpoint))
    whole = texts(models.quantise(models.load(checkpoint)))
    assert len({tuple(text) for text in exact}) > 150
    assert sum(a == b for a, b in zip(exact, whole, strict=True)) >= 0.98 * len(exact)


def test_all_linear_layers_of_blocks_and_no_other_are_in_8_bits(checkpoint: Path) -> None:
    model = models.quantise(models.load(checkpoint))
    assert not any(isinstance(module, nn.Linear) for module in model.encoder.blocks.modules())
    in_blocks = sum(isinstance(module, Int8Linear) for module in model.encoder.blocks.modules())
    assert in_blocks == 10 * len(model.encoder.blocks)
    assert isinstance(model.head, nn.Linear)


def test_another_precision_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="made of one in float32 on a CPU, not torch.bfloat16 on cpu"):
        models.quantise(models.load(checkpoint, dtype=torch.bfloat16))
