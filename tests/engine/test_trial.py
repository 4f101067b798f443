"""What the process that tries recordings says of one, without the process."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipeline.engine import rows, trial
from pipeline.errors import StorageFault
from pipeline.fed import Fed
from pipeline.flow import UnitOutputs
from pipeline.isolation import messages
from pipeline.receipts import Timings
from tests.engine.test_suspects import unit

FEATURES = unit([3, 4], silent=[])
OUTPUTS = UnitOutputs(FEATURES.recordings, FEATURES.lengths, FEATURES.facts, {}, {}, {}, Fed())


def said(
    monkeypatch: pytest.MonkeyPatch, over_first: Any, *, known: UnitOutputs | None = None, usable: bool = True
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
        device="cuda", config=SimpleNamespace(batch_timeout=5.0), infer=infer, featurised=lambda prepared: prepared,
        load_tasks=lambda _: {}, load_predictors=lambda *_: [],
    )  # fmt: skip
    monkeypatch.setattr(trial, "_job", lambda told: job)
    monkeypatch.setattr(trial, "usable", lambda device: usable)
    # The clock of this process is that of the test.
    monkeypatch.setattr(trial, "signal", SimpleNamespace(setitimer=lambda *_: None, ITIMER_REAL=0))
    row = rows.from_features("u", FEATURES, ("t",), Timings())
    if known:
        row = rows.from_both("u", FEATURES, known, ("t",), Timings())
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
