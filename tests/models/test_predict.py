from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline import models
from pipeline.errors import StorageFault, UserError
from pipeline.models.layout import Packed
from pipeline.models.predict import FEWEST_FRAMES, GPU_FRAMES, Predictor, default_frame_budget, frames_that_fit
from pipeline.models.wav2vec2_bert.config import Config

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


class Sums:
    """A fake model: each frame's two logits are its own sum and its document's; memory for `room` frames."""

    def __init__(self, room: float = float("inf"), fail_at: int = -1) -> None:
        self.room = room
        self.fail_at = fail_at
        self.batches: list[tuple[int, ...]] = []
        self.config = SimpleNamespace(vocab_size=2, intermediate_size=64)

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def forward_packed(self, features: Tensor, layout: Packed) -> Any:
        self.batches.append(layout.lengths)
        if layout.num_frames > self.room or len(self.batches) == self.fail_at:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        own = features.double().sum(1)
        totals = torch.zeros(len(layout.lengths), dtype=torch.float64).index_add(0, layout.documents, own)
        return SimpleNamespace(logits=torch.stack([own, totals[layout.documents]], 1))


def keep(logits: Tensor) -> tuple[Tensor, ...]:
    return (logits[:, 0], logits[:, 1])


def expected(features: np.ndarray, slices: list[tuple[int, int]]) -> list[tuple[np.ndarray, np.ndarray]]:
    own = features.astype(np.float64).sum(1)
    return [(own[a:b], np.full(b - a, own[a:b].sum())) for a, b in slices]


def check(given: list[Any], features: np.ndarray, slices: list[tuple[int, int]]) -> None:
    for ours, theirs in zip(given, expected(features, slices), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


FEATURES = np.arange(300, dtype=np.float32).reshape(100, 3)
SLICES = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(lambda s: (min(s), max(s))), max_size=12)


@settings(deadline=None)
@given(SLICES, st.integers(1, 300))
def test_each_slice_gets_its_own_result_in_the_order_given(slices: list[tuple[int, int]], budget: int) -> None:
    check(Predictor(Sums(), frame_budget=budget).run(FEATURES, slices, reduce=keep), FEATURES, slices)  # type: ignore[arg-type]


def test_memory_running_out_halves_the_budget_and_changes_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sums(room=30)
    slices = [(i, i + 10 + i % 7) for i in range(0, 80, 5)]
    predictor = Predictor(model, frame_budget=100)  # type: ignore[arg-type]
    check(predictor.run(FEATURES, slices, reduce=keep), FEATURES, slices)
    assert predictor.frame_budget == 25
    assert capsys.readouterr().err.splitlines() == [
        "cpu: out of memory; going on with batches of 50 frames",
        "cpu: out of memory; going on with batches of 25 frames",
    ]
    failed = len([lengths for lengths in model.batches if sum(lengths) > 30])
    check(predictor.run(FEATURES, slices, reduce=keep), FEATURES, slices)
    assert failed == len([lengths for lengths in model.batches if sum(lengths) > 30])  # remembered


@pytest.mark.parametrize("fail_at", range(1, 9))
def test_memory_running_out_at_any_batch_changes_no_result(fail_at: int) -> None:
    model = Sums(fail_at=fail_at)
    slices = [(i, i + 10) for i in range(0, 80, 5)]
    check(Predictor(model, frame_budget=30).run(FEATURES, slices, reduce=keep), FEATURES, slices)  # type: ignore[arg-type]


def test_the_budget_never_falls_below_one_window() -> None:
    predictor = Predictor(Sums(room=20), frame_budget=30)  # type: ignore[arg-type]
    slices = [(0, 20), *((i, i + 1) for i in range(10))]
    check(predictor.run(FEATURES, slices, reduce=keep), FEATURES, slices)
    assert predictor.frame_budget == 20


def test_one_window_without_room_is_a_fault_of_the_machine() -> None:
    message = "^cpu: out of memory on one window of 40 frames; take a shorter window or a GPU with more memory"
    with pytest.raises(StorageFault, match=message):
        Predictor(Sums(room=30), frame_budget=64).run(FEATURES, [(0, 40), (0, 5)], reduce=keep)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [(-1, 3), (5, 4), (90, 101)])
def test_slices_outside_the_array_are_refused(wrong: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"slices must lie in the 100 frames given, got \({wrong[0]}, {wrong[1]}\)"):
        Predictor(Sums()).run(FEATURES, [(0, 3), wrong], reduce=keep)  # type: ignore[arg-type]


def test_read_only_features_are_taken_without_a_warning() -> None:
    features = FEATURES.copy()
    features.flags.writeable = False
    check(Predictor(Sums()).run(features, [(0, 9)], reduce=keep), features, [(0, 9)])  # type: ignore[arg-type]


def test_results_do_not_keep_the_batch_alive() -> None:
    for reduced in Predictor(Sums()).run(FEATURES, [(0, 9), (9, 11)], reduce=keep):  # type: ignore[arg-type]
        assert all(array.base is None for array in reduced)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("storage", [np.float32, np.float16])
def test_the_real_model_in_batches_is_the_model_alone(checkpoint: Path, device: str, storage: type) -> None:
    model = models.load(checkpoint, device=device, kernel="plain")
    features = np.random.default_rng(0).standard_normal((700, 160)).astype(storage)
    slices = [(0, 150), (100, 260), (260, 261), (300, 300), (300, 700)]

    def best(logits: Tensor) -> tuple[Tensor, Tensor]:
        scores, tokens = logits.log_softmax(-1).max(-1)
        return tokens.to(torch.int32), scores

    for (start, stop), (tokens, scores) in zip(
        slices, Predictor(model, frame_budget=300).run(features, slices, reduce=best), strict=True
    ):
        assert tokens.dtype == np.int32
        assert tokens.shape == scores.shape == (stop - start,)
        if start == stop:
            continue
        alone = model(torch.from_numpy(features[None, start:stop]), [stop - start]).logits[0].cpu()
        np.testing.assert_allclose(scores, alone.log_softmax(-1).max(-1).values, atol=1e-4)


def test_bfloat16_comes_back_as_float32(checkpoint: Path) -> None:
    model = models.load(checkpoint, dtype=torch.bfloat16)
    features = np.random.default_rng(0).standard_normal((40, 160), dtype=np.float32)
    [(logits,)] = Predictor(model).run(features, [(0, 40)], reduce=lambda logits: (logits,))
    assert logits.dtype == np.float32


def test_the_default_budget_follows_the_width(checkpoint: Path) -> None:
    model = models.load(checkpoint)
    assert default_frame_budget(model) == 4 * 2**20 // (4 * model.config.intermediate_size)
    assert default_frame_budget(model) < GPU_FRAMES


@pytest.mark.parametrize("fields", [{"add_adapter": True}, {"head": "none"}, {"head": "classes"}, {"head": "xvector"}])
def test_a_model_that_does_not_score_each_frame_is_refused(
    make_checkpoint: Callable[..., Path], fields: dict[str, Any]
) -> None:
    head = fields.pop("head", None)
    model = models.load(make_checkpoint(**fields), head=head)
    with pytest.raises(UserError, match=r"does not score each frame, .* CTC head and without an adapter"):
        Predictor(model).run(np.zeros((10, 160), np.float32), [(0, 10)], reduce=lambda logits: (logits,))


def test_the_budget_of_a_gpu_follows_its_free_memory_and_the_model() -> None:
    full = Config(document={}, vocab_size=32)
    small = replace(full, hidden_size=128, intermediate_size=512, num_attention_heads=4)

    def budget(config: Config, gigabytes: float, value_bytes: int = 2) -> int:
        return frames_that_fit(config, free_bytes=int(gigabytes * 2**30), value_bytes=value_bytes)

    assert budget(full, 70) == budget(small, 70) == GPU_FRAMES
    assert FEWEST_FRAMES < budget(full, 0.5) < budget(full, 1) < GPU_FRAMES
    assert budget(full, 1, value_bytes=4) == pytest.approx(budget(full, 1) / 2, abs=1)
    assert budget(small, 0.5) > budget(full, 0.5)
    assert budget(replace(full, position_embeddings_type="relative"), 1) < budget(full, 1)
    assert budget(replace(full, vocab_size=10_000), 1) < budget(full, 1)
    assert budget(full, 0) == FEWEST_FRAMES
