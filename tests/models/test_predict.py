from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
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
from pipeline.audio import Window
from pipeline.errors import StorageFault, UserError
from pipeline.models.layout import Packed
from pipeline.models.outputs import FrameOutput
from pipeline.models.predict import FEWEST_FRAMES, GPU_FRAMES, Predictor, default_frame_budget, frames_that_fit
from pipeline.models.wants import Reduced, Want
from pipeline.models.wav2vec2_bert.config import Config

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]

Slice = tuple[int, int]
Stretches = list[list[Window]]


class Encoder:
    """A fake one: of each frame it gives its own sum and its document's, after a state that no head may see."""

    kernel = "plain"

    def __init__(self, room: float, fail_at: int) -> None:
        self.room = room
        self.fail_at = fail_at
        self.batches: list[tuple[int, ...]] = []

    def states(self, features: Tensor, layout: Packed) -> Iterator[Tensor]:
        self.batches.append(layout.lengths)
        if layout.num_frames > self.room or len(self.batches) == self.fail_at:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        own = features.double().sum(1)
        yield torch.full((len(own), 2), torch.nan, dtype=torch.float64)
        totals = torch.zeros(len(layout.lengths), dtype=torch.float64).index_add(0, layout.documents, own)
        yield torch.stack([own, totals[layout.documents]], 1)


class Sums:
    """A fake model: each frame's two logits are its own sum and its document's; memory for `room` frames."""

    def __init__(self, room: float = float("inf"), fail_at: int = -1) -> None:
        self.encoder = Encoder(room, fail_at)
        self.top = SimpleNamespace(fold=lambda before, number, frames: frames)
        self.config = SimpleNamespace(
            vocab_size=2, intermediate_size=64, hidden_size=2, add_adapter=False, labels=("a", "b")
        )

    @property
    def batches(self) -> list[tuple[int, ...]]:
        return self.encoder.batches

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def score(self, hidden: Tensor, layout: Packed) -> FrameOutput:
        assert len(hidden) == layout.num_frames
        return FrameOutput(hidden, hidden, layout.lengths)


def keep(output: Any) -> tuple[Tensor, ...]:
    return (output.logits[:, 0], output.logits[:, 1])


def logits_of(output: Any) -> tuple[Tensor, ...]:
    return (output.logits,)


def alone(slices: Sequence[Slice]) -> Stretches:
    """A stretch of one window for each, all of it kept; nothing of one without frames."""
    return [[Window(a, b, a, b)] if a < b else [] for a, b in slices]


def predictor_of(model: Any, **options: Any) -> Predictor:
    return Predictor({"sums": model}, **options)


def run(predictor: Predictor, features: np.ndarray, stretches: Stretches) -> list[Reduced]:
    """What the one head of a predictor says."""
    return predictor.run(features, stretches, {"w": Want("sums", keep)})["w"]


def expected(features: np.ndarray, stretches: Stretches) -> list[tuple[np.ndarray, np.ndarray]]:
    own = features.astype(np.float64).sum(1)
    none = np.empty(0)
    return [
        (
            np.concatenate([none, *(own[w.keep_start : w.keep_stop] for w in each)]),
            np.concatenate([none, *(np.full(w.keep_stop - w.keep_start, own[w.start : w.stop].sum()) for w in each)]),
        )
        for each in stretches
    ]


def test_who_waits_is_told_where_each_batch_begins() -> None:
    told: list[int] = []
    predictor = predictor_of(Sums(), frame_budget=4)
    predictor.on_batch = told.append
    run(predictor, np.ones((9, 160), np.float32), alone([(0, 2), (2, 6), (6, 6), (6, 9)]))
    assert sorted(told) == [0, 2, 6]


def check(given: list[Any], features: np.ndarray, stretches: Stretches) -> None:
    for ours, theirs in zip(given, expected(features, stretches), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-9)


FEATURES = np.arange(300, dtype=np.float32).reshape(100, 3)
SLICES = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(lambda s: (min(s), max(s))), max_size=12)


def windows_of(start: int, kept: Sequence[int], context: int) -> list[Window]:
    """Windows that keep so many frames each, one after the other, with context as far as there are frames."""
    edges = list(itertools.accumulate(kept, initial=start))
    return [Window(max(0, a - context), min(100, b + context), a, b) for a, b in itertools.pairwise(edges)]


WINDOWS = st.lists(
    st.builds(windows_of, st.integers(0, 50), st.lists(st.integers(1, 10), max_size=5), st.integers(0, 7)), max_size=8
)


@settings(deadline=None)
@given(SLICES, st.integers(1, 300))
def test_each_slice_gets_its_own_result_in_the_order_given(slices: list[Slice], budget: int) -> None:
    found = run(predictor_of(Sums(), frame_budget=budget), FEATURES, alone(slices))
    assert [len(own) for own, _ in found] == [stop - start for start, stop in slices]
    check(found, FEATURES, alone(slices))


@settings(deadline=None)
@given(WINDOWS, st.integers(1, 300))
def test_windows_of_a_stretch_are_stitched_without_their_context(stretches: Stretches, budget: int) -> None:
    found = run(predictor_of(Sums(), frame_budget=budget), FEATURES, stretches)
    assert [len(own) for own, _ in found] == [sum(w.keep_stop - w.keep_start for w in each) for each in stretches]
    check(found, FEATURES, stretches)


def test_each_window_is_seen_once_whatever_is_wanted_of_it() -> None:
    model = Sums()
    stretches = [windows_of(0, [9, 9, 4], 3), windows_of(40, [9], 3)]
    wants = {name: Want("sums", keep) for name in ("a", "b", "c")}
    found = predictor_of(model, frame_budget=20).run(FEATURES, stretches, wants)
    assert sorted(itertools.chain(*model.batches)) == sorted(w.stop - w.start for each in stretches for w in each)
    for name in wants:
        check(found[name], FEATURES, stretches)


def test_nothing_wanted_is_nothing_run() -> None:
    model = Sums()
    assert predictor_of(model).run(FEATURES, alone([(0, 9)]), {}) == {}
    assert model.batches == []


def test_memory_running_out_halves_the_budget_and_changes_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sums(room=30)
    stretches = alone([(i, i + 10 + i % 7) for i in range(0, 80, 5)])
    predictor = predictor_of(model, frame_budget=100)
    check(run(predictor, FEATURES, stretches), FEATURES, stretches)
    assert predictor.frame_budget == 25
    assert capsys.readouterr().err.splitlines() == [
        "cpu: out of memory; going on with batches of 50 frames",
        "cpu: out of memory; going on with batches of 25 frames",
    ]
    failed = len([lengths for lengths in model.batches if sum(lengths) > 30])
    check(run(predictor, FEATURES, stretches), FEATURES, stretches)
    assert failed == len([lengths for lengths in model.batches if sum(lengths) > 30])  # remembered


@pytest.mark.parametrize("fail_at", range(1, 9))
def test_memory_running_out_at_any_batch_changes_no_result(fail_at: int) -> None:
    model = Sums(fail_at=fail_at)
    stretches = alone([(i, i + 10) for i in range(0, 80, 5)])
    check(run(predictor_of(model, frame_budget=30), FEATURES, stretches), FEATURES, stretches)
    assert len(model.batches) >= min(fail_at, 6)


@pytest.mark.parametrize("fail_at", range(1, 7))
def test_memory_running_out_within_a_stretch_changes_no_result(fail_at: int) -> None:
    model = Sums(fail_at=fail_at)
    stretches = [windows_of(0, [10, 10, 10, 3], 4), windows_of(35, [10] * 6, 4), windows_of(90, [5], 4)]
    check(run(predictor_of(model, frame_budget=40), FEATURES, stretches), FEATURES, stretches)
    assert len(model.batches) > fail_at


def test_what_was_finished_before_memory_ran_out_is_not_computed_again() -> None:
    model = Sums(fail_at=4)
    stretches = alone([(i, i + 10) for i in range(0, 80, 10)])
    check(run(predictor_of(model, frame_budget=20), FEATURES, stretches), FEATURES, stretches)
    # What was asked of the third batch had not arrived yet.
    assert sum(map(len, model.batches)) <= len(stretches) + 2 + 2


def test_the_budget_never_falls_below_one_window() -> None:
    predictor = predictor_of(Sums(room=20), frame_budget=30)
    stretches = alone([(0, 20), *((i, i + 1) for i in range(10))])
    check(run(predictor, FEATURES, stretches), FEATURES, stretches)
    assert predictor.frame_budget == 20


def test_one_window_without_room_is_a_fault_of_the_machine() -> None:
    message = "^cpu: out of memory on one window of 40 frames; take a shorter window or a GPU with more memory"
    with pytest.raises(StorageFault, match=message):
        run(predictor_of(Sums(room=30), frame_budget=64), FEATURES, alone([(0, 40), (0, 5)]))


@pytest.mark.parametrize(
    "wrong", [(-1, 3, 0, 3), (5, 4, 5, 4), (90, 101, 90, 100), (5, 9, 4, 9), (5, 9, 5, 10), (5, 9, 6, 6), (5, 9, 7, 6)]
)
def test_windows_outside_the_array_are_refused(wrong: tuple[int, int, int, int]) -> None:
    window = Window(*wrong)
    with pytest.raises(ValueError, match=r"windows must lie in the 100 frames given, got Window\(") as caught:
        run(predictor_of(Sums()), FEATURES, [*alone([(0, 3)]), [window]])
    assert str(window) in str(caught.value)


def test_read_only_features_are_taken_without_a_warning() -> None:
    features = FEATURES.copy()
    features.flags.writeable = False
    found = run(predictor_of(Sums()), features, alone([(0, 9)]))
    assert len(found) == 1
    check(found, features, alone([(0, 9)]))


def test_results_do_not_keep_the_batch_alive() -> None:
    for reduced in run(predictor_of(Sums()), FEATURES, alone([(0, 9), (9, 11)])):
        assert all(array.base is None for array in reduced)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("storage", [np.float32, np.float16])
def test_the_real_model_in_batches_is_the_model_alone(checkpoint: Path, device: str, storage: type) -> None:
    model = models.load(checkpoint, device=device, kernel="plain")
    features = np.random.default_rng(0).standard_normal((700, 160)).astype(storage)
    slices = [(0, 150), (100, 260), (260, 261), (300, 300), (300, 700)]

    def best(output: Any) -> tuple[Tensor, Tensor]:
        scores, tokens = output.logits.log_softmax(-1).max(-1)
        return tokens.to(torch.int32), scores

    predictor = Predictor({"ctc": model}, frame_budget=300)
    found = predictor.run(features, alone(slices), {"w": Want("ctc", best)})["w"]
    for (start, stop), (tokens, scores) in zip(slices, found, strict=True):
        assert tokens.dtype == np.int32
        assert tokens.shape == scores.shape == (stop - start,)
        if start == stop:
            continue
        logits = model(torch.from_numpy(features[None, start:stop]), [stop - start]).logits[0].cpu()
        np.testing.assert_allclose(scores, logits.log_softmax(-1).max(-1).values, atol=1e-4)


def test_bfloat16_comes_back_as_float32(checkpoint: Path) -> None:
    model = models.load(checkpoint, dtype=torch.bfloat16)
    features = np.random.default_rng(0).standard_normal((40, 160), dtype=np.float32)
    want = Want("ctc", logits_of)
    [(logits,)] = Predictor({"ctc": model}).run(features, alone([(0, 40)]), {"w": want})["w"]
    assert logits.dtype == np.float32


def test_the_default_budget_follows_the_width(checkpoint: Path) -> None:
    model = models.load(checkpoint)
    assert default_frame_budget(model) == 4 * 2**20 // (4 * model.config.intermediate_size)
    assert default_frame_budget(model) < GPU_FRAMES


def test_a_model_whose_frames_windows_cannot_be_joined_by_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    model = models.load(make_checkpoint(add_adapter=True))
    with pytest.raises(UserError, match="^digits: the checkpoint does not score each frame, .* without an adapter"):
        Predictor({"digits": model})


def test_a_model_without_a_head_is_refused(make_checkpoint: Callable[..., Path]) -> None:
    predictor = Predictor({"digits": models.load(make_checkpoint(), head="none")})
    with pytest.raises(UserError, match="^digits: the checkpoint has no head, so it says nothing"):
        predictor.run(np.zeros((10, 160), np.float32), alone([(0, 10)]), {"w": Want("digits", lambda output: ())})


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
