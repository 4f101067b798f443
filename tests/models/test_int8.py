"""Linear layers in 8 bits: the arithmetic, the batch, the text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soxr
import torch
from torch import nn

from pipeline import models
from pipeline.audio import FeatureExtractor, Window
from pipeline.models.int8 import Int8Linear
from pipeline.models.layout import Packed
from pipeline.models.predict import Predictor
from pipeline.models.wants import Want
from tests.digits import RATE, utterances
from tests.parity.test_wav2vec2_bert_heads import ours_of, theirs_of


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


def test_a_frame_has_the_same_result_beside_a_loud_one() -> None:
    layer = Int8Linear(nn.Linear(64, 48))
    frames = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    louder = torch.cat([frames, 1000 * frames])
    with torch.inference_mode():
        assert torch.equal(layer(louder)[:20], layer(frames))


@pytest.mark.parametrize("positions", [None, "relative", "relative_key", "rotary"])
def test_results_do_not_depend_on_what_else_is_in_the_batch(positions: str | None) -> None:
    model = models.quantise(ours_of(theirs_of("ctc", num_hidden_layers=2, position_embeddings_type=positions)))
    recordings = torch.randn(130, 10, generator=torch.Generator().manual_seed(0)).split([60, 30, 40])
    with torch.inference_mode():
        together = model.forward_packed(torch.cat(recordings), Packed((60, 30, 40))).logits.split([60, 30, 40])
        for one, expected in zip(recordings, together, strict=True):
            alone = model.forward_packed(one, Packed((len(one),))).logits
            # What differs in the last digit before it is rounded to 8 bits may differ by one step after.
            assert (alone - expected).abs().max() <= 0.03 * expected.abs().max()


def test_a_model_in_8_bits_is_not_saved_without_its_weights(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="save it before"):
        models.save(models.quantise(models.load(checkpoint)), tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


@pytest.mark.slow
def test_the_text_of_human_digits_stays(speech: Path, checkpoint: Path) -> None:
    extract = FeatureExtractor.load(checkpoint)
    waveforms = [soxr.resample(each.samples, RATE, 16_000) for each in utterances(speech, count=200)]
    batch = [extract([waveform], sample_rate=16_000).features[0] for waveform in waveforms]
    features = torch.cat([torch.from_numpy(one) for one in batch]).numpy()
    stops = torch.tensor([len(one) for one in batch]).cumsum(0).tolist()
    stretches = [[Window(start, stop, start, stop)] for start, stop in zip([0, *stops[:-1]], stops, strict=True)]

    def best_of(output: Any) -> tuple[torch.Tensor, ...]:
        return (output.logits.argmax(-1),)

    def texts(model: models.Model) -> list[list[int]]:
        best = Predictor({"ctc": model}).run(features, stretches, {"ids": Want("ctc", best_of)})["ids"]
        paths = [torch.unique_consecutive(torch.from_numpy(ids)) for (ids,) in best]
        return [path[path != 0].tolist() for path in paths]

    exact = texts(models.load(checkpoint))
    whole = texts(models.quantise(models.load(checkpoint)))
    assert len({tuple(text) for text in exact}) > 150
    assert sum(a == b for a, b in zip(exact, whole, strict=True)) >= 0.98 * len(exact)


def test_linear_layers_of_attentions_and_feed_forwards_are_in_8_bits_and_no_others(checkpoint: Path) -> None:
    model = models.quantise(models.load(checkpoint))
    names = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    in_blocks = {f"encoder.blocks.{i}.convolution.{each}" for i in range(4) for each in ("gated", "out")}
    assert names == in_blocks | {"encoder.projection.linear", "head"}
    assert sum(isinstance(module, Int8Linear) for module in model.modules()) == 8 * 4


def test_another_precision_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="made of one in float32 on a CPU, not torch.bfloat16 on cpu"):
        models.quantise(models.load(checkpoint, dtype=torch.bfloat16))
