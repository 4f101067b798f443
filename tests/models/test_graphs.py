"""Recorded passes, with a stand-in for CUDA graphs that does the same again: only memory that is written anew differs.

So whatever a pass took from the lengths of the batch that was recorded would show in the next one of its size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention.flex_attention import flex_attention

from pipeline import models
from pipeline.audio import Window
from pipeline.models import compiled, packed_attention
from pipeline.models.graphs import CudaRecorder, Outputs, Replayed, replayable
from pipeline.models.layout import Packed
from pipeline.models.predict import Predictor
from pipeline.models.wants import Want


class Again:
    """A recorder: what is recorded runs again."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, run: Callable[[], Outputs]) -> Callable[[], Outputs]:
        self.recorded += 1
        outputs = run()

        def replay() -> Outputs:
            self.replayed += 1
            # A graph writes where it wrote before.
            for name, value in run().items():
                outputs[name].copy_(value)
            return outputs

        return replay


def sums(features: Tensor, layout: Packed) -> Outputs:
    """Each frame's sum, and that of its document."""
    own = features.sum(1)
    return {"own": own, "all": torch.zeros(len(own)).index_add(0, layout.documents, own)[layout.documents]}


def check(replayed: Replayed, *lengths: int) -> Outputs:
    features, layout = torch.randn(sum(lengths), 3), Packed(lengths)
    found = replayed(features, layout)
    for name, wanted in sums(features, layout).items():
        torch.testing.assert_close(found[name], wanted)
    return found


def test_a_size_is_recorded_when_it_comes_again_and_then_replayed() -> None:
    record = Again()
    replayed = Replayed(sums, record)
    for lengths, recorded in (((5, 3), 0), ((8,), 1), ((1, 1, 6), 1), ((9,), 1), ((4, 4), 1), ((2, 7), 2)):
        check(replayed, *lengths)
        assert record.recorded == recorded
    assert record.replayed == 4


def test_what_is_given_stays_when_the_next_batch_is_replayed() -> None:
    replayed = Replayed(sums, Again())
    check(replayed, 4)
    first = check(replayed, 4)
    held = {name: value.clone() for name, value in first.items()}
    check(replayed, 1, 3)
    assert all(torch.equal(first[name], held[name]) for name in held)


def test_the_size_that_was_used_longest_ago_goes() -> None:
    record = Again()
    replayed = Replayed(sums, record, most=2)
    for size in (3, 4, 5):
        check(replayed, size)
    for size in (3, 4, 3, 5, 3, 4):
        check(replayed, size)
    # 5 took the place of 4, and 4 the place of 5; 3 was used in between.
    assert record.recorded == 4


def test_without_memory_for_a_recording_all_of_them_go_and_the_fault_is_told() -> None:
    record = Again()
    replayed = Replayed(sums, lambda run: full(run) if record.recorded else record(run))
    for size in (3, 3, 4):
        check(replayed, size)
    with pytest.raises(torch.OutOfMemoryError):
        check(replayed, 4)
    record.recorded = 0
    check(replayed, 3)
    assert record.recorded == 0


def full(run: Callable[[], Outputs]) -> Callable[[], Outputs]:
    raise torch.OutOfMemoryError("CUDA out of memory (injected)")


class Cuda:
    """What a recorder asks of `torch.cuda`, with the rules that torch has for pools of memory."""

    def __init__(self) -> None:
        self.handles = 0
        self.used: set[int] = set()
        self.graphs: WeakKeyDictionary[Graph, int] = WeakKeyDictionary()
        self.fault: Exception | None = None
        self.captures = 0

    def handle(self) -> int:
        self.handles += 1
        return self.handles

    @contextmanager
    def capture(self, graph: Graph, pool: int, capture_error_mode: str) -> Iterator[None]:
        # So does torch: a pool that all of its graphs have left is not taken again.
        if pool in self.used and pool not in self.graphs.values():
            raise RuntimeError("it->second->use_count > 0 INTERNAL ASSERT FAILED")
        self.captures += 1
        yield
        if self.fault:
            raise self.fault
        self.used.add(pool)
        self.graphs[graph] = pool


class Graph:
    def replay(self) -> None:
        """The stand-in computes nothing, so that outputs are those of the capture."""


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    made = Cuda()
    stream = SimpleNamespace(wait_stream=lambda other: None)
    stand_ins = {
        "graph_pool_handle": made.handle, "current_stream": lambda: stream, "Stream": lambda: stream,
        "stream": lambda other: nullcontext(), "CUDAGraph": Graph, "graph": made.capture, "current_device": lambda: 0,
    }  # fmt: skip
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return made


def test_recordings_share_a_pool_and_take_a_new_one_once_all_are_gone(cuda: Cuda) -> None:
    replayed = Replayed(sums, CudaRecorder())
    for lengths in ((3,), (3,), (4,), (4,)):
        replayed(torch.ones(sum(lengths), 3), Packed(lengths))
    assert (cuda.captures, cuda.handles) == (2, 1)
    replayed.clear()
    for _ in range(2):
        replayed(torch.ones(3, 3), Packed((3,)))
    assert (cuda.captures, cuda.handles) == (3, 2)


def test_what_cannot_be_recorded_runs_all_the_same_with_one_warning(
    cuda: Cuda, capsys: pytest.CaptureFixture[str]
) -> None:
    cuda.fault = RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")
    record = CudaRecorder()
    for replayed in (Replayed(sums, record), Replayed(sums, record)):
        for lengths in ((5, 3), (8,), (1, 7), (4,), (3, 1)):
            check(replayed, *lengths)
    assert cuda.captures == 1
    (warning,) = capsys.readouterr().err.splitlines()
    assert "operation not permitted" in warning


def test_a_recording_that_lacks_memory_is_tried_again(cuda: Cuda) -> None:
    cuda.fault = torch.OutOfMemoryError("CUDA out of memory (injected)")
    replayed = Replayed(sums, CudaRecorder())
    check(replayed, 3)
    with pytest.raises(torch.OutOfMemoryError):
        check(replayed, 3)
    cuda.fault = None
    for _ in range(2):
        replayed(torch.ones(3, 3), Packed((3,)))
    assert cuda.captures == 2


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The forms that a GPU runs, uncompiled."""

    def flex(q: Tensor, k: Tensor, v: Tensor, score_mod: Any, mask: Any) -> Any:
        return flex_attention(q, k, v, score_mod=score_mod, block_mask=mask)

    halves = (compiled._before_attention, compiled._after_attention)
    monkeypatch.setattr(compiled, "_halves", lambda: halves)
    monkeypatch.setattr(packed_attention, "_compiled_flex", lambda sizes: flex)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("positions", [None, "relative_key", "rotary"])
def test_an_encoder_replays_batches_whose_documents_lie_otherwise(
    uncompiled: None, make_checkpoint: Callable[..., Path], positions: str | None
) -> None:
    folder = make_checkpoint(position_embeddings_type=positions)
    record, plain = Again(), models.load(folder)
    model = models.compile_blocks(models.load(folder, kernel="fused"))
    predictor = Predictor({"w": model}, frame_budget=128, record=record)
    frames = np.random.default_rng(0).standard_normal((700, 160)).astype(np.float32)
    edges = [0, 100, 128, 188, 256, 300, 384, 512, 513, 600, 640, 700]
    windows = [[Window(a, b, a, b)] for a, b in zip(edges, edges[1:], strict=False)]
    found = predictor.run(frames, windows, {"w": Want("w", lambda output: (output.logits,))})["w"]
    assert record.recorded == 1 < record.replayed
    for (window,), (logits,) in zip(windows, found, strict=True):
        own = torch.from_numpy(frames[window.start : window.stop])
        with torch.inference_mode():
            alone = plain.forward_packed(own, Packed((len(own),))).logits
        np.testing.assert_allclose(logits, alone.numpy(), atol=1e-4)


def test_only_what_depends_on_no_lengths_is_recorded(make_checkpoint: Callable[..., Path]) -> None:
    folder = make_checkpoint()
    model = models.load(folder, kernel="fused")
    assert not replayable(model.encoder)
    assert replayable(models.compile_blocks(model).encoder)
    assert not replayable(models.compile_blocks(models.load(folder, kernel="plain")).encoder)
    relative = models.load(make_checkpoint(position_embeddings_type="relative"), kernel="fused")
    assert not replayable(models.compile_blocks(relative).encoder)
