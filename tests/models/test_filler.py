"""Batches that are filled up to few sizes: same results, few sizes, and the filler counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline import models
from pipeline.audio import Window
from pipeline.models import predict
from pipeline.models.batching import rounded
from pipeline.models.layout import Packed
from pipeline.models.outputs import FrameOutput
from pipeline.models.predict import Predictor
from pipeline.models.wants import Want

FEATURES = np.random.default_rng(0).standard_normal((900, 160), dtype=np.float32)
STRETCHES = [
    (Window(start, stop, start, stop),) for start, stop in ((0, 40), (10, 230), (300, 301), (400, 900), (0, 90))
]


def logits(output: FrameOutput) -> tuple[torch.Tensor, ...]:
    return (output.logits,)


def heard(predictor: Predictor) -> list[np.ndarray]:
    return [scores for (scores,) in predictor.run(FEATURES, STRETCHES, {"ctc": Want("ctc", logits)})["ctc"]]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of every batch that is computed, the plain kernel taking filled ones."""
    seen: list[int] = []
    monkeypatch.setitem(predict.SIZES, "plain", rounded)
    monkeypatch.setattr(predict, "Packed", lambda *given: seen.append(sum(given[0])) or Packed(*given))
    return seen


def test_filler_changes_no_result_and_is_counted(checkpoint: Path, sizes: list[int]) -> None:
    model = models.load(checkpoint)
    filled = Predictor({"ctc": model}, frame_budget=512)
    found = heard(filled)
    assert set(sizes) & {512, 384} == {512, 384}
    assert filled.filler_frames == 512 + 384 - (500 + 220 + 90 + 40 + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(predict.SIZES, "plain", lambda frames: frames)
        plain = Predictor({"ctc": model}, frame_budget=512)
        alone = heard(plain)
    assert plain.filler_frames == 0
    for ours, theirs in zip(found, alone, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_memory_running_out_in_the_filler_changes_no_result(
    checkpoint: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor({"ctc": models.load(checkpoint)}, frame_budget=2048)
    encode, computed = predictor._encode, []

    def scarce(features: torch.Tensor, layout: Packed, wants: dict[str, Want]) -> dict[str, torch.Tensor]:
        computed.append(layout.num_frames)
        if layout.num_frames > 600:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return encode(features, layout, wants)

    monkeypatch.setattr(predictor, "_encode", scarce)
    assert [len(scores) for scores in heard(predictor)] == [40, 220, 1, 500, 90]
    # 851 frames want 896; with a budget of 1024 again; then 500 of 512, and 351 of 384.
    assert computed == [896, 896, 512, 384]
    assert predictor.filler_frames == 12 + 33


def test_only_the_compiled_kernel_takes_filled_batches(checkpoint: Path) -> None:
    assert {kernel: size_of(129) for kernel, size_of in predict.SIZES.items()} == {"plain": 129, "fused": 256}
    predictor = Predictor({"ctc": models.load(checkpoint)}, frame_budget=512)
    heard(predictor)
    assert predictor.filler_frames == 0
