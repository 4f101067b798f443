"""Several heads of one encoder: each sees its frames and its pieces, whatever the batches, and whatever fails."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline import models
from pipeline.audio import Window, cut
from pipeline.models.layout import Packed
from pipeline.models.outputs import EmbeddingOutput
from pipeline.models.predict import Predictor
from pipeline.models.wants import Reduced, Want
from pipeline.models.wav2vec2_bert.top import LastLayer, LayerMean, folded

Slice = tuple[int, int]

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
FEATURES = np.random.default_rng(0).standard_normal((300, 160), dtype=np.float32)
LENGTHS = (55, 0, 18, 31, 3, 100)
"""Frames of each stretch; most are longer than a window, one has none."""
SMALL: dict[str, Any] = {
    "num_labels": 3, "tdnn_dim": [8, 8, 12], "tdnn_kernel": [3, 2, 1], "tdnn_dilation": [1, 2, 1],
    "xvector_output_dim": 6, "classifier_proj_size": 8,
}  # fmt: skip
HEADS: dict[str, tuple[models.Head, bool]] = {
    "tokens": ("ctc", False),
    "labels": ("frames", False),
    "layered labels": ("frames", True),
    "classes": ("classes", True),
    "speakers": ("xvector", True),
    "plain speakers": ("xvector", False),
}
"""Kind, and whether it sees a mean of all layers."""


def shifted(window: Window, by: int) -> Window:
    return Window(window.start + by, window.stop + by, window.keep_start + by, window.keep_stop + by)


STARTS = itertools.accumulate(LENGTHS, initial=0)
STRETCHES = [
    [shifted(each, start) for each in cut(length, window=20, context=4)]
    for start, length in zip(STARTS, LENGTHS, strict=False)
]


@pytest.fixture
def loaded(make_checkpoint: Callable[..., Path]) -> dict[str, models.Model]:
    """Models of every kind with the same encoder, each in its own memory."""
    found = {}
    for name, (kind, layered) in HEADS.items():
        folder = make_checkpoint(use_weighted_layer_sum=layered, **SMALL)
        found[name] = models.load(folder, head=kind)
        torch.manual_seed(len(found))
        for parameter in (each for part, each in found[name].named_parameters() if not part.startswith("encoder.")):
            parameter.data = torch.randn(parameter.shape)
        assert isinstance(found[name].top, LayerMean if layered else LastLayer)
    return found


def said(output: Any) -> tuple[Tensor, ...]:
    return (output.embeddings if isinstance(output, EmbeddingOutput) else output.logits,)


def pieces_of(frames: int) -> list[Slice]:
    """Two pieces of a stretch, the later one first, with a frame between; none of a short one."""
    return [(frames - 8, frames), (1, frames - 9)] if frames >= 18 else []


def whole(frames: int) -> list[Slice]:
    return [(0, frames)] if frames else []


def sized(number: int, _: Mapping[str, Reduced]) -> list[Slice]:
    return pieces_of(LENGTHS[number])


def after_labels(number: int, known: Mapping[str, Reduced]) -> list[Slice]:
    """What its labels say: as many frames as they have, where none is what they are not."""
    (scores,) = known["labels"]
    assert np.isfinite(scores).all()
    return pieces_of(len(scores))


WANTS: dict[str, tuple[Want, Callable[[int], list[Slice]]]] = {
    "tokens": (Want("tokens", said), whole),
    "labels": (Want("labels", said), whole),
    "layered labels": (Want("layered labels", said), whole),
    "classes": (Want("classes", said), whole),
    "classes of pieces": (Want("classes", said, sized), pieces_of),
    "tokens of pieces": (Want("tokens", said, sized), pieces_of),
    "speakers": (Want("speakers", said, after_labels, after="labels"), pieces_of),
    "plain speakers": (Want("plain speakers", said, after_labels, after="labels"), pieces_of),
}
"""What is wanted, and which pieces that is of a stretch of so many frames."""


def alone(model: Any, windows: Sequence[Window], pieces: Sequence[Slice]) -> list[np.ndarray]:
    """By definition: window by window, piece by piece."""
    device = next(model.parameters()).device
    kept = []
    with torch.inference_mode():
        for each in windows:
            frames = torch.from_numpy(FEATURES[each.start : each.stop]).to(device)
            states = model.encoder.states(frames, Packed((len(frames),), device))
            kept.append(folded(model.top, states)[each.keep_start - each.start : each.keep_stop - each.start])
        return [said(model.score(torch.cat(kept)[a:b], Packed((b - a,), device)))[0].cpu().numpy() for a, b in pieces]


def by_definition(loaded: Mapping[str, models.Model]) -> dict[str, list[list[np.ndarray]]]:
    return {
        name: [
            alone(loaded[want.head], windows, pieces(length))
            for windows, length in zip(STRETCHES, LENGTHS, strict=True)
        ]
        for name, (want, pieces) in WANTS.items()
    }


def check(found: Mapping[str, Sequence[Reduced]], expected: Mapping[str, Sequence[Sequence[np.ndarray]]]) -> None:
    assert list(found) == list(WANTS)
    for name in WANTS:
        for (ours,), theirs in zip(found[name], expected[name], strict=True):
            assert len(ours) == sum(map(len, theirs))
            if theirs:
                np.testing.assert_allclose(ours, np.concatenate(theirs), atol=1e-4, rtol=1e-4)


def wants() -> dict[str, Want]:
    return {name: want for name, (want, _) in WANTS.items()}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("frame_budget", [1, 30, 64, 1000])
def test_each_head_says_what_it_says_alone(loaded: dict[str, models.Model], device: str, frame_budget: int) -> None:
    loaded = {name: model.to(device) for name, model in loaded.items()}
    expected = by_definition(loaded)
    predictor = Predictor(loaded, frame_budget=frame_budget)
    found = predictor.run(FEATURES, STRETCHES, wants())
    check(found, expected)
    assert len({id(model.encoder) for model in predictor.models.values()}) == 1


def test_nothing_of_a_stretch_has_the_columns_that_something_has(loaded: dict[str, models.Model]) -> None:
    found = Predictor(loaded).run(FEATURES, STRETCHES, wants())
    for each in found.values():
        assert {(column.dtype, column.shape[1:]) for (column,) in each} == {(each[0][0].dtype, each[0][0].shape[1:])}
    nothing = Predictor(loaded).run(FEATURES, [[], []], wants())
    assert {len(column) for each in nothing.values() for (column,) in each} == {0}
    assert Predictor(loaded).run(FEATURES, [], wants()) == {name: [] for name in WANTS}


@pytest.mark.parametrize("frame_budget", [1, 64, 1000])
def test_pieces_are_chosen_by_what_the_labels_of_that_stretch_are(
    loaded: dict[str, models.Model], frame_budget: int
) -> None:
    seen: dict[int, np.ndarray] = {}

    def chosen(number: int, known: Mapping[str, Reduced]) -> list[Slice]:
        (seen[number],) = known["labels"]
        return [(0, 5)] if LENGTHS[number] > 5 else []

    asked = {"labels": Want("labels", said), "speakers": Want("speakers", said, chosen, after="labels")}
    found = Predictor(loaded, frame_budget=frame_budget).run(FEATURES, STRETCHES, asked)
    assert sorted(seen) == [number for number, length in enumerate(LENGTHS) if length]
    for number, labels in seen.items():
        np.testing.assert_array_equal(labels, found["labels"][number][0])
    assert [len(vectors) for (vectors,) in found["speakers"]] == [int(length > 5) for length in LENGTHS]


class Failing:
    """Steps of a run, of which one finds no memory."""

    def __init__(self, fail_at: int) -> None:
        self.left = fail_at

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")

    def put_into(self, loaded: Mapping[str, models.Model]) -> dict[str, Want]:
        """Make every state, fold, score, choice of pieces and reduction a step; not those of no frames."""
        encoder = next(iter(loaded.values())).encoder
        states = encoder.states

        def stepping(*arguments: Any) -> Iterator[Tensor]:
            for frames in states(*arguments):
                self.step()
                yield frames

        encoder.states = stepping  # type: ignore[method-assign, assignment]
        for model in loaded.values():
            model.top.fold = self._counted(model.top.fold)  # type: ignore[method-assign]
            model.score = self._counted(model.score, lambda hidden, layout: len(hidden) > 0)  # type: ignore[assignment]
        return {
            name: Want(
                want.head,
                self._counted(want.reduce, lambda output: len(said(output)[0]) > 0),
                want.pieces and self._counted(want.pieces),
                want.after,
            )
            for name, want in wants().items()
        }

    def _counted(self, call: Any, counts: Callable[..., bool] = lambda *_: True) -> Any:
        def counted(*arguments: Any) -> Any:
            if counts(*arguments):
                self.step()
            return call(*arguments)

        return counted


@pytest.mark.slow
def test_memory_running_out_at_any_step_changes_no_result(
    loaded: dict[str, models.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = by_definition(loaded)
    Predictor(loaded)  # from here on they share one encoder
    steps = Failing(0)
    plain = [(model.top.fold, model.score, model.encoder.states) for model in loaded.values()]

    def restored() -> None:
        for model, (fold, score, states) in zip(loaded.values(), plain, strict=True):
            model.top.fold, model.score, model.encoder.states = fold, score, states  # type: ignore[method-assign]

    Predictor(loaded, frame_budget=60).run(FEATURES, STRETCHES, steps.put_into(loaded))
    restored()
    assert -steps.left > 80
    for fail_at in range(1, -steps.left + 1):
        failing = Failing(fail_at)
        predictor = Predictor(loaded, frame_budget=60)
        check(predictor.run(FEATURES, STRETCHES, failing.put_into(loaded)), expected)
        restored()
        assert (predictor.frame_budget, failing.left < 0) == (30, True)
