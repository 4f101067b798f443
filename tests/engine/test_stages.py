"""Stages without Ray: a row in, a row out, never an exception; and how many threads their process has."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

from pipeline.engine import ledger, rows, stages, suspects
from pipeline.engine.rows import Row
from pipeline.engine.shipping import Shipped
from pipeline.errors import StorageFault, UserError
from pipeline.featurising import here
from pipeline.fed import Fed
from pipeline.flow import Settings, UnitFeatures, UnitOutputs, UnitSamples
from pipeline.isolation import Limits
from pipeline.job import Work
from pipeline.models import checkpoint, device
from pipeline.plan import NOWHERE, UnitRef
from pipeline.receipts import Receipt, Timings
from pipeline.sources import Encoded
from pipeline.stitching import Kept
from pipeline.tasks.heard import NO_PIECES
from tests.engine.test_suspects import unit
from tests.isolation.test_process import payload_of, tone
from tests.jobs.corpora import MODEL

SHIPPED = Shipped(MODEL, checkpoint.fingerprint(MODEL), None)
NO_TIMINGS = Timings({}, {}, {})
KEPT = Kept((), (np.empty(0, np.int32), np.empty(0, np.float32)), NO_PIECES, ())
NOTHING = UnitOutputs((), (), (), {}, {"labels": KEPT}, {}, Fed())
WORK = Work(UnitRef("u7", 1, 0, 0, 1, 1.0, 1), ("labels",))
NO_FRAMES = UnitFeatures((), np.empty((0, 160), np.float32), (), (), {})
BEGUN: dict[str, Any] = {
    "read": WORK,
    "features": rows.from_encoded(WORK, Encoded((), b"", (), {}), NO_TIMINGS),
    "model": rows.from_features("u7", NO_FRAMES, WORK.tasks, NO_TIMINGS),
    "commit": rows.from_outputs("u7", NOTHING, WORK.tasks, NO_TIMINGS),
}
"""What each stage is given of a unit that holds nothing."""


class Predictor(str):
    """Nothing but a name."""

    on_batch: Any = None


class Job:
    """A job whose every step fails in one way."""

    run = "run"
    device = "cpu"
    limits = Limits(60.0, 10**9)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def load_predictors(self, _: Any, encoders: Any) -> list[Any]:
        return [Predictor(encoder) for encoder in encoders]

    def load_tasks(self, _: Any) -> dict[str, Any]:
        return {}

    def featurised(self, prepared: Any) -> Any:
        return prepared

    def __getattr__(self, name: str) -> Any:
        raise self.__dict__["error"]


@pytest.fixture(autouse=True)
def as_many_threads_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "limit_threads", lambda cpus: None)


def made(error: Exception) -> dict[str, Any]:
    """Each stage with a job that fails."""
    job: Any = Job(error)
    return {
        "read": stages.Read(job),
        "features": stages.Features(job, 1.0),
        "model": stages.Inference(job, [SHIPPED], 1.0),
        "commit": stages.Commit(job, [SHIPPED]),
    }


def fault(row: Row) -> tuple[str, str, str]:
    """Unit, fault and trace of a row that stands for one."""
    unit, meta, _ = rows.open_row(row)
    receipt = rows.fault_of(unit, meta)
    assert receipt is not None
    return receipt.unit, receipt.fault, receipt.fault_trace


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StorageFault("503, for 60 s"), "503, for 60 s"),
        (UserError("the plan is damaged"), "the plan is damaged"),
        (ZeroDivisionError("made up"), "ZeroDivisionError: made up"),
        (MemoryError(), "MemoryError: "),
    ],
)
def test_a_failure_is_a_row_that_names_unit_stage_and_cause(error: Exception, told: str) -> None:
    failing = made(error)
    commit = failing.pop("commit")
    for stage, work in failing.items():
        unit, said, trace = fault(work(BEGUN[stage]))
        assert (unit, said) == ("u7", f"{stage}: {told}")
        assert "Traceback" in trace
    (receipt,) = rows.to_receipts(commit(BEGUN["commit"]))
    assert (receipt.unit, receipt.outcome, receipt.fault) == ("u7", "fault", f"commit: {told}")


def test_a_later_attempt_says_so_where_it_fails_and_in_its_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = ledger.Entry("read", "u7", "here:1", 0.0, died_on=("n1", "n2"))
    monkeypatch.setattr(ledger, "at_work", lambda *_: contextlib.nullcontext(ledger.AtWork("key", begun)))
    monkeypatch.setattr(stages, "load_unit", lambda output, unit, moves: unit)
    job: Any = SimpleNamespace(run="run", output="out", moves=NOWHERE)
    monkeypatch.setattr(stages.flow, "read", lambda unit, beat: Encoded((), b"", (), {}))
    assert rows.timings_of(rows.open_row(stages.Read(job)(WORK))[1]).attempts == {"read": 3}
    told = {ZeroDivisionError("made up"): "ZeroDivisionError: made up", StorageFault("503"): "503"}
    for error, said in told.items():
        monkeypatch.setattr(stages.flow, "read", Mock(side_effect=error))
        assert fault(stages.Read(job)(WORK))[1] == f"read, attempt 3: {said}"


def test_a_read_that_gets_answers_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[int] = []
    at_work = SimpleNamespace(beat=lambda: beats.append(1), attempt=1)
    monkeypatch.setattr(ledger, "at_work", lambda *_: contextlib.nullcontext(at_work))
    monkeypatch.setattr(stages, "load_unit", lambda output, unit, moves: unit)
    monkeypatch.setattr(stages.flow, "read", lambda unit, beat: beat() or Encoded((), b"", (), {}))
    job: Any = SimpleNamespace(run="run", output="out", moves=NOWHERE)
    assert rows.fault_of("u7", rows.open_row(stages.Read(job)(WORK))[1]) is None
    assert beats == [1]


@pytest.mark.parametrize("stage", ["features", "model"])
def test_a_fault_of_an_earlier_stage_is_passed_on_untouched(stage: str) -> None:
    row = rows.from_fault("u7", "read: 503", "Traceback ...")
    assert made(AssertionError("worked on a fault"))[stage](row) is row


def test_a_fault_of_an_earlier_stage_is_a_receipt_and_commits_nothing() -> None:
    row = made(AssertionError("committed a fault"))["commit"](rows.from_fault("u7", "read: 503", "Traceback ..."))
    assert rows.to_receipts(row) == [Receipt("u7", "fault", fault="read: 503", fault_trace="Traceback ...")]


def test_the_tasks_that_a_unit_lacks_go_with_it_from_stage_to_stage() -> None:
    job: Any = Job(AssertionError("has no settings"))
    job.settings = Settings(window=100, context=10)
    job.infer = lambda features, wanted, *_: replace(NOTHING, faults=dict.fromkeys(wanted, "none"))
    asked: list[Any] = []
    job.finish = lambda unit, outputs, wanted, tasks, timings: asked.append((unit, outputs.faults, wanted)) or []
    row = BEGUN["features"]
    for stage in (stages.Features(job, 1.0), stages.Inference(job, [SHIPPED], 1.0), stages.Commit(job, [SHIPPED])):
        assert rows.tasks_of(rows.open_row(row)[1]) == ("labels",)
        row = stage(row)
    assert rows.to_receipts(row) == []
    assert asked == [("u7", {"labels": "none"}, ("labels",))]


def test_models_of_the_next_stage_know_what_those_of_the_one_before_said() -> None:
    seen: list[Any] = []
    job: Any = Job(AssertionError("has no settings"))

    def infer(features: UnitFeatures, wanted: Any, predictors: Any, _: Any, known: UnitOutputs | None) -> UnitOutputs:
        (encoder,) = predictors
        before = None if known is None else (set(known.kept), known.faults)
        seen.append((encoder, features.frames.shape, wanted, before))
        kept = {} if known is None else known.kept
        return replace(NOTHING, kept=kept | {encoder: KEPT}, faults={f"of {encoder}": "none"})

    job.infer = infer
    two = Timings({"wait": 1.0, "model": 2.0})
    row = rows.from_features("u7", replace(NO_FRAMES, frames=np.ones((3, 160), np.float32)), ("labels",), two)
    for encoder, last in (("e", False), ("f", False), ("g", True)):
        row = stages.Inference(job, [SHIPPED], 1.0, (encoder,), last)(row)
    assert seen == [
        ("e", (3, 160), ("labels",), None),
        ("f", (3, 160), ("labels",), ({"e"}, {"of e": "none"})),
        ("g", (3, 160), ("labels",), ({"e", "f"}, {"of f": "none"})),
    ]
    _, meta, payload = rows.open_row(row)
    assert set(rows.to_outputs(meta, payload).kept) == {"e", "f", "g"}
    # They are one stage to those who look on: their seconds add up.
    assert rows.timings_of(meta).seconds["model"] >= 2.0
    assert rows.timings_of(meta).seconds["wait"] >= 1.0


TWO = rows.from_features("u7", unit([3, 4], silent=[]), WORK.tasks, NO_TIMINGS)


class Model:
    """The model stage over a unit over which so many workers have died; no recording ends it alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, deaths: int) -> None:
        self.did: list[Any] = []
        job: Any = Job(AssertionError("has no settings"))
        job.config = SimpleNamespace(batch_timeout=7.0, recording_memory=10**9)
        job.infer = self._infer
        begun = ledger.Entry("model", "u7", "here:1", 0.0, deaths=deaths)
        monkeypatch.setattr(ledger, "at_work", lambda *_: contextlib.nullcontext(ledger.AtWork("key", begun)))
        monkeypatch.setattr(ledger.AtWork, "beat", lambda _, recording="": self.did.append(recording))
        monkeypatch.setattr(suspects, "culprits", lambda *_: self.did.append("tried alone") or {})
        timer = stages.faulthandler
        monkeypatch.setattr(timer, "dump_traceback_later", lambda time, **more: self.did.append((time, more["exit"])))
        monkeypatch.setattr(timer, "cancel_dump_traceback_later", lambda: self.did.append("cancelled"))
        self.stage = stages.Inference(job, [SHIPPED], 1.0, ("e",))

    def _infer(self, features: UnitFeatures, wanted: Any, predictors: Any, *_: Any) -> UnitOutputs:
        predictors[0].on_batch(features.lengths[0])
        return NOTHING


@pytest.mark.parametrize("deaths", [0, 1, 2])
def test_recordings_are_tried_alone_once_two_workers_have_died(monkeypatch: pytest.MonkeyPatch, deaths: int) -> None:
    model = Model(monkeypatch, deaths)
    assert rows.fault_of("u7", rows.open_row(model.stage(TWO))[1]) is None
    # The process ends itself where a batch takes longer, and only then.
    assert model.did == ["tried alone"] * (deaths == 2) + [(7.0, True), "r1", "cancelled"]


def test_the_recording_that_is_tried_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(monkeypatch, 2)
    monkeypatch.setattr(suspects.Order, "trial", lambda _, row, beat: beat)
    monkeypatch.setattr(suspects, "culprits", lambda indices, beat: [beat(index) for index in indices] and {})
    model.stage(TWO)
    assert model.did[:2] == ["r0", "r1"]


def heard(*counts: int) -> UnitSamples:
    """A unit of which the device makes the features; each recording is of one value."""
    features = unit([1] * len(counts), silent=[])
    samples = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
    return UnitSamples(features.recordings, samples, counts, features.facts, {})


SAMPLES = rows.from_prepared("u7", heard(800, 1600), WORK.tasks, NO_TIMINGS)


def test_features_of_the_device_have_the_time_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(monkeypatch, 0)

    def featurised(prepared: Any) -> UnitFeatures:
        model.did.append("features")
        return unit([3, 4], silent=[])

    model.stage._job.featurised = featurised  # type: ignore[method-assign]
    assert rows.fault_of("u7", rows.open_row(model.stage(SAMPLES))[1]) is None
    assert model.did == [(7.0, True), "features", (7.0, True), "r1", "cancelled"]


def test_recordings_are_tried_alone_before_the_device_makes_features_and_culprits_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, given = Model(monkeypatch, 2), []

    def featurised(prepared: Any) -> UnitFeatures:
        given.append((prepared.counts, set(prepared.samples.tolist())))
        return unit([3, 4], silent=[])

    model.stage._job.featurised = featurised  # type: ignore[method-assign]
    monkeypatch.setattr(suspects, "culprits", lambda indices, _: dict.fromkeys(indices[:1], "SIGSEGV"))
    assert rows.fault_of("u7", rows.open_row(model.stage(SAMPLES))[1]) is None
    assert given == [((0, 1600), {1})]


@pytest.mark.parametrize("usable", [True, False])
def test_a_worker_that_loses_its_gpu_over_features_ends(monkeypatch: pytest.MonkeyPatch, usable: bool) -> None:
    def lost(*_: Any) -> None:
        raise RuntimeError("CUDA error: made up")

    def left(code: int) -> None:
        raise SystemExit(code)

    model = Model(monkeypatch, 0)
    model.stage._job.featurised = lost  # type: ignore[method-assign, assignment]
    monkeypatch.setattr(model.stage._job, "device", "cuda", raising=False)
    monkeypatch.setattr(device, "usable", lambda _: usable)
    monkeypatch.setattr(stages.os, "_exit", left)
    with contextlib.nullcontext() if usable else pytest.raises(SystemExit):
        assert fault(model.stage(SAMPLES))[1] == "model: RuntimeError: CUDA error: made up"
    assert model.did[-1] == "cancelled"


def test_the_file_that_is_being_decoded_is_told_before_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(ledger.AtWork, "beat", lambda _, recording="": told.append(recording))
    job: Any = Job(AssertionError("has no settings"))
    job.settings = Settings(window=100, context=10)
    features = stages.Features(job, 1.0)
    monkeypatch.setattr(features, "_decoder", Decoder(told))
    payload, files = payload_of(tone(1), tone(2))
    recordings = tuple(file.first for file in files if file.first)
    encoded = Encoded(recordings, payload, tuple(file.place for file in files), {})
    assert rows.fault_of("u7", rows.open_row(features(rows.from_encoded(WORK, encoded, NO_TIMINGS)))[1]) is None
    ids = [recording.id for recording in recordings]
    assert told == [ids[0], "decoded", ids[1], "decoded"]


class Decoder:
    """Says what it has done."""

    peak_bytes = 0

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __call__(self, payload: Any, files: Any) -> Any:
        for results in here(payload, files):
            self.told.append("decoded")
            yield results


def test_a_unit_that_no_recording_of_it_explains_is_left_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(monkeypatch, 3)
    assert fault(model.stage(BEGUN["model"]))[1] == (
        "model: 3 workers died over it, but over none of its recordings alone"
    )
    assert model.did == ["tried alone", "cancelled"]


THREADS = """
import json, os, sys
import numpy
from pipeline.engine.stages import limit_threads
assert "torch" not in sys.modules
for cpus in json.loads(sys.argv[1]):
    limit_threads(cpus)
import pyarrow, threadpoolctl, torch
pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
print(json.dumps([int(os.environ["OMP_NUM_THREADS"]), torch.get_num_threads(), pyarrow.cpu_count(), sorted(pools)]))
"""


@pytest.mark.parametrize(
    ("cpus", "threads"),
    [
        ([0.99], 1),
        ([2.9], 2),
        ([1, 2.0], 2),  # Ray gives a worker that has read to an actor
    ],
)
def test_all_thread_pools_have_whole_cpus_and_at_least_one(cpus: list[float], threads: int) -> None:
    done = subprocess.run([sys.executable, "-c", THREADS, json.dumps(cpus)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [threads, threads, threads, [threads]]
