"""bfloat16: packing changes no text; and, as in float16, rounding costs no more than it costs transformers."""

from __future__ import annotations

import math
import statistics
from copy import deepcopy
from pathlib import Path

import pytest
import soxr
import torch
from torch import Tensor
from transformers import PreTrainedModel, Wav2Vec2BertForCTC

from pipeline import models
from pipeline.audio import FeatureExtractor
from pipeline.models.batching import batches
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.model import Model
from pipeline.text import Tokenizer, batch_decode
from tests.digits import RATE, utterances
from tests.parity.test_wav2vec2_bert_heads import ours_of, theirs_of

HALVES = [torch.bfloat16, torch.float16]


@pytest.fixture(scope="module")
def spoken(speech: Path, checkpoint: Path) -> list[Tensor]:
    """Features of human digit strings, (T, 160) each."""
    extract = FeatureExtractor.load(checkpoint)
    waveforms = [soxr.resample(each.samples, RATE, 16_000) for each in utterances(speech, count=1000)]
    return [torch.from_numpy(extract([waveform], sample_rate=16_000).features[0]) for waveform in waveforms]


def alone(model: Model, recordings: list[Tensor]) -> list[Tensor]:
    with torch.inference_mode():
        return [model.forward_packed(each, Packed((len(each),))).logits for each in recordings]


def packed(model: Model, recordings: list[Tensor]) -> list[Tensor]:
    logits: list[Tensor] = [torch.empty(0)] * len(recordings)
    with torch.inference_mode():
        for batch in batches([len(each) for each in recordings], frame_budget=3000):
            frames = torch.cat([recordings[index] for index in batch.indices])
            scores = model.forward_packed(frames, Packed(batch.lengths)).logits.split(list(batch.lengths))
            for index, score in zip(batch.indices, scores, strict=True):
                logits[index] = score
    return logits


def error(logits: list[Tensor], exact: list[Tensor]) -> float:
    """Root of the mean square."""
    differences = torch.cat([(a.double() - b).flatten() for a, b in zip(logits, exact, strict=True)])
    return float(differences.square().mean().sqrt())


def theirs_alone(model: PreTrainedModel, recordings: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    copy = deepcopy(model).to(dtype)
    with torch.inference_mode():
        return [copy(each[None].to(dtype)).logits[0] for each in recordings]


@pytest.mark.slow
def test_packing_changes_no_text(spoken: list[Tensor], checkpoint: Path) -> None:
    model, tokenizer = models.load(checkpoint, dtype=torch.bfloat16), Tokenizer.load(checkpoint)

    def texts(logits: list[Tensor]) -> list[str]:
        return [batch_decode(each[None], (len(each),), tokenizer)[0].text for each in logits]

    one_by_one, together = texts(alone(model, spoken)), texts(packed(model, spoken))
    assert len(one_by_one) == 1000
    assert len(set(one_by_one)) > 900
    # 99.9 %.
    assert sum(a != b for a, b in zip(one_by_one, together, strict=True)) <= 1


@pytest.mark.slow
def test_rounding_costs_on_speech_what_it_costs_transformers(spoken: list[Tensor], checkpoint: Path) -> None:
    some = spoken[:100]
    theirs = Wav2Vec2BertForCTC.from_pretrained(checkpoint).eval()
    exact = theirs_alone(theirs, some, torch.float64)
    ours, rounded = (
        packed(models.load(checkpoint, dtype=torch.bfloat16), some),
        theirs_alone(theirs, some, torch.bfloat16),
    )
    ratios = [error([a], [e]) / error([b], [e]) for a, b, e in zip(ours, rounded, exact, strict=True)]
    # Not of them all together: a few frames at the edge of a decision make most of either side's error.
    assert statistics.median(ratios) <= 1.1
    # Whose error is much larger there is luck, on every kind of processor anew: ours no more often than theirs, within
    # two deviations of a fair coin.
    worse, better = sum(ratio > 1.25 for ratio in ratios), sum(ratio < 1 / 1.25 for ratio in ratios)
    assert worse - better <= 2 * math.sqrt(worse + better)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("positions", [None, "relative", "relative_key", "rotary"])
def test_rounding_costs_with_every_position_type_what_it_costs_transformers(
    positions: str | None, dtype: torch.dtype
) -> None:
    theirs = theirs_of("ctc", num_hidden_layers=4, position_embeddings_type=positions)
    recordings = list(torch.randn(400, 10, generator=torch.Generator().manual_seed(2)).split([150, 90, 160]))
    exact = theirs_alone(theirs, recordings, torch.float64)
    ours = packed(ours_of(theirs).to(dtype), recordings)
    assert 0 < error(ours, exact) <= 1.25 * error(theirs_alone(theirs, recordings, dtype), exact)
