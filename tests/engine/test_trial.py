"""What the process that tries recordings says of one, without the process."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.engine import rows, trial
from pipeline.errors import ErrorRow, StorageFault
from pipeline.fed import Fed
from pipeline.flow import UnitOutputs, UnitSamples
from pipeline.isolation import messages
from pipeline.receipts import Timings
from tests.engine.test_suspects import unit

FEATURES = unit([3, 4], silent=[])
OUTPUTS = UnitOutputs(FEATURES.recordings, FEATURES.lengths, FEATURES.facts, {}, {}, {}, Fed())


def said(
    monkeypatch: pytest.MonkeyPatch,
    over_first: Any,
    *,
    known: UnitOutputs | None = None,
    usable: bool = True,
    featurised: Callable[[Any], Any] = lambda prepared: prepared,
    samples: UnitSamples | None = None,
) -> list[str]:
    """What is said of two recordings, where the model does or says something over the first and nothing else."""

    def infer(features: Any, *_: Any) -> UnitOutputs:
        tried.append(features.lengths)
        if len(tried) == 1 or not features.lengths[0]:
            return OUTPUTS
        if isinstance(over_first, Exception):
            raise over_first
        return replace(OUTPUTS, faults=over_first)

    tried: list[Any] = []
    job = SimpleNamespace(
        device="cuda", config=SimpleNamespace(batch_timeout=5.0), infer=infer, featurised=featurised,
        load_tasks=lambda _: {}, load_predictors=lambda *_: [],
    )  # fmt: skip
    monkeypatch.setattr(trial, "_job", lambda told: job)
    monkeypatch.setattr(trial, "usable", lambda device: usable)
    # The clock of this process is that of the test.
    monkeypatch.setattr(trial, "signal", SimpleNamespace(setitimer=lambda *_: None, ITIMER_REAL=0))
    row = rows.from_features("u", FEATURES, ("t",), Timings())
    if known:
        row = rows.from_both("u", FEATURES, known, ("t",), Timings())
    if samples:
        row = rows.from_prepared("u", samples, ("t",), Timings())
    told = io.BytesIO()
    order: dict[str, Any] = {"job": {}, "checkpoints": {}, "encoders": [], "indices": [0, 1]}
    trial._try_all(told, order, row)
    told.seek(0)
    found = []
    while told.tell() < len(told.getvalue()):
        found += messages.receive(told)
    return found


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ... (made up)"),
        RuntimeError("CUDA error: out of memory"),
        StorageFault("cuda:0: out of memory on one window of 40 frames; take a shorter window"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
)
def test_want_of_memory_is_told_as_such_on_every_device(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    assert said(monkeypatch, error) == ["ready", "done", "memory"]


def test_another_error_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(monkeypatch, RuntimeError("made up")) == ["ready", "done", "fault"]


def test_want_of_memory_of_some_tasks_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The models of other tasks, here or in other actors, have not failed."""
    assert said(monkeypatch, {"t": "MemoryError: "}) == ["ready", "done", "memory"]
    assert said(monkeypatch, {"t": "made up"}) == ["ready", "done", "done", "done"]


def test_what_models_before_had_no_memory_for_is_no_want_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(OUTPUTS, faults={"t": "cuda:0: out of memory on one window"})
    assert said(monkeypatch, before.faults, known=before) == ["ready", "done", "done", "done"]


def test_a_gpu_that_is_lost_over_some_tasks_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(trial, "os", SimpleNamespace(_exit=leave))
    with pytest.raises(SystemExit):
        said(monkeypatch, {"t": "CUDA error: device-side assert triggered"}, usable=False)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize(
    ("error", "told"),
    [(torch.OutOfMemoryError("CUDA out of memory"), "memory"), (RuntimeError("made up"), "fault"), (None, "done")],
)
def test_a_recording_over_whose_features_the_device_fails_is_tried_like_any(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, error: Exception | None, told: str
) -> None:
    samples = np.concatenate([np.full(640, 9), np.full(960, 7)]).astype(dtype)
    seen = []

    def featurised(alone: UnitSamples) -> Any:
        seen.append((alone.counts, alone.samples.dtype, np.ptp(alone.samples) > 0))
        if error and len(seen) == 2:
            raise error
        return FEATURES.without({index: ErrorRow("model", "absent", "") for index in {0, 1} - set(alone.heard)})

    unit = UnitSamples(FEATURES.recordings, samples, (640, 960), FEATURES.facts, {})
    assert said(monkeypatch, {}, featurised=featurised, samples=unit) == (
        ["ready", "done", told] if error else ["ready", "done", "done", "done"]
    )
    noise = ((640, 0), np.dtype(dtype), True)
    alone = [((640, 0), np.dtype(dtype), False), ((0, 960), np.dtype(dtype), False)]
    assert seen == [noise, *alone[: 1 if error else 2]]
