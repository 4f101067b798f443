"""The functions of `pipeline.flow` as Ray Data stages: a row in, a row out, never an exception."""

from __future__ import annotations

import faulthandler
import functools
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import threadpoolctl

from pipeline import flow
from pipeline.engine import ledger, rows, suspects
from pipeline.engine.ledger import AtWork
from pipeline.engine.orphans import leave_when_dead
from pipeline.engine.rows import Row
from pipeline.engine.shipping import Shipped, local_folders
from pipeline.errors import ErrorRow, StorageFault, VoxmillError
from pipeline.featurising import AudioFile, Buffer, Results
from pipeline.flow import Prepared, UnitFeatures, UnitOutputs, UnitSamples
from pipeline.isolation import Isolated
from pipeline.job import Job, Work
from pipeline.plan import load_unit
from pipeline.receipts import Timings
from pipeline.storage.secrets import redact, redacted_trace
from pipeline.timing import StageClock


@dataclass(frozen=True, slots=True)
class Read:
    """First stage: a unit's number in the plan becomes its encoded bytes."""

    job: Job

    def __call__(self, work: Work) -> Row:
        """Read one unit."""
        return _carry(self.job, "read", work.name, lambda clock, at_work: self._read(work, clock, at_work))

    def _read(self, work: Work, clock: StageClock, at_work: AtWork) -> Row:
        limit_threads(1)
        unit = load_unit(self.job.output, work.unit, self.job.moves)
        return rows.from_encoded(work, flow.read(unit, at_work.beat), clock.timings())


class Features:
    """Second stage: bytes become packed frames, or samples of which the model's device makes them.

    One actor, and the process with warm decoders that it watches.
    """

    def __init__(self, job: Job, cpus: float) -> None:
        limit_threads(cpus)
        leave_when_dead()
        self._job = job
        # Its process starts with the first unit: half a second of a CPU, which an actor without work need not spend.
        self._decoder = Isolated(job.limits)

    def __call__(self, row: Row) -> Row:
        """Decode and featurise one unit."""
        return _pass(self._job, "features", row, self._featurise)

    def _featurise(
        self, unit: str, meta: dict[str, Any], payload: memoryview, clock: StageClock, at_work: AtWork
    ) -> Row:
        def heard(payload: Buffer, files: Sequence[AudioFile]) -> Iterator[Results]:
            decoded = self._decoder(payload, files)
            for file in files:
                at_work.beat(file.first.id if file.first else "")
                yield from itertools.islice(decoded, 1)

        prepared = flow.prepare(rows.to_encoded(meta, payload), self._job.settings, heard)
        spent = clock.timings(beside=self._decoder.peak_bytes)
        return rows.from_prepared(unit, prepared, rows.tasks_of(meta), rows.timings_of(meta).joined(spent))


class Inference:
    """Third stage: frames become what the tasks keep of what heads say. Holds the models, or some of them."""

    def __init__(
        self, job: Job, shipped: Sequence[Shipped], cpus: float, encoders: Sequence[str] = (), last: bool = True
    ) -> None:
        limit_threads(cpus)
        leave_when_dead()
        self._job = job
        self._last = last
        checkpoints = local_folders(shipped)
        self._order = suspects.Order(job, checkpoints, encoders, cpus)
        self._tasks = job.load_tasks(checkpoints)
        self._predictors = job.load_predictors(checkpoints, encoders)
        self._idle_since = time.monotonic()

    def __call__(self, row: Row) -> Row:
        """Run the model over one unit."""
        waited = time.monotonic() - self._idle_since
        try:
            return _pass(self._job, "model", row, functools.partial(self._infer, row, waited))
        finally:
            faulthandler.cancel_dump_traceback_later()
            self._idle_since = time.monotonic()

    def _infer(
        self,
        row: Row,
        waited: float,
        unit: str,
        meta: dict[str, Any],
        payload: memoryview,
        clock: StageClock,
        at_work: AtWork,
    ) -> Row:
        wanted, prepared = rows.tasks_of(meta), rows.to_prepared(meta, payload)
        known = rows.to_outputs(meta, payload) if "kept" in meta else None
        if at_work.deaths >= suspects.DEATHS and (failed := self._culprits(row, prepared, at_work)):
            prepared, known = prepared.without(failed), known.without(failed) if known else None
        features, outputs = self._said(prepared, wanted, known, at_work)
        spent = rows.timings_of(meta).added(Timings(seconds={"wait": waited})).added(clock.timings())
        if self._last:
            return rows.from_outputs(unit, outputs, wanted, spent)
        return rows.from_both(unit, features, outputs, wanted, spent)

    def _next_batch(self, at_work: AtWork, features: UnitFeatures, first: int) -> None:
        self._give_time()
        at_work.beat(features.recording_of(first).id)

    def _give_time(self) -> None:
        """Give what comes next the time of a batch; what still computes then ends with this process, even if it hangs.

        Ray starts it again, and the ledger knows over which unit it ended.
        """
        faulthandler.dump_traceback_later(self._job.config.batch_timeout, exit=True, file=sys.__stderr__ or 2)

    def _said(
        self, prepared: Prepared, wanted: Sequence[str], known: UnitOutputs | None, at_work: AtWork
    ) -> tuple[UnitFeatures, UnitOutputs]:
        """What the models take and say; a process that loses its GPU over it ends, or all later units would fail."""
        try:
            features = self._featurised(prepared)
            for predictor in self._predictors:
                predictor.on_batch = functools.partial(self._next_batch, at_work, features)
            outputs = self._job.infer(features, wanted, self._predictors, self._tasks, known)
        except Exception:
            self._end_without_device()
            raise
        if outputs.faults:
            self._end_without_device()
        return features, outputs

    def _featurised(self, prepared: Prepared) -> UnitFeatures:
        if isinstance(prepared, UnitSamples):
            self._give_time()
        return self._job.featurised(prepared)

    def _end_without_device(self) -> None:
        from pipeline.models.device import usable

        if self._job.device == "cuda" and not usable(self._job.device):
            print(redacted_trace(), file=sys.stderr, flush=True)
            os._exit(1)

    def _culprits(self, row: Row, prepared: Prepared, at_work: AtWork) -> dict[int, ErrorRow]:
        """Recordings over which processes of the model die.

        Raises:
            StorageFault: it is no recording, or none by itself.
        """
        trial = self._order.trial(row, lambda index: at_work.beat(prepared.recordings[index].id))
        found = suspects.culprits(prepared.heard, trial)
        if not found and at_work.deaths >= suspects.HOPELESS:
            raise StorageFault(f"{at_work.deaths} workers died over it, but over none of its recordings alone")
        config = self._job.config
        num_bytes = config.recording_memory if self._job.device == "cpu" else None
        return suspects.errors_of(found, seconds=config.batch_timeout, num_bytes=num_bytes)


class Commit:
    """Last stage: outputs become rows, rows become the unit's file of each task, and the driver gets receipts."""

    def __init__(self, job: Job, shipped: Sequence[Shipped]) -> None:
        limit_threads(1)
        leave_when_dead()
        self._job = job
        self._tasks = job.load_tasks(local_folders(shipped))

    def __call__(self, row: Row) -> Row:
        """Commit one unit."""
        unit, meta, payload = rows.open_row(row)
        fault = rows.fault_of(unit, meta)
        if fault is None:
            done = _carry(self._job, "commit", unit, lambda clock, at_work: self._commit(unit, meta, payload, clock))
            fault = rows.fault_of(unit, rows.open_row(done)[1])
        return done if fault is None else rows.from_receipts(unit, [fault])

    def _commit(self, unit: str, meta: dict[str, Any], payload: memoryview, clock: StageClock) -> Row:
        outputs = rows.to_outputs(meta, payload)
        before = rows.timings_of(meta)
        receipts = self._job.finish(
            unit, outputs, rows.tasks_of(meta), self._tasks, lambda: before.joined(clock.timings())
        )
        return rows.from_receipts(unit, receipts)


@functools.cache
def limit_threads(cpus: float) -> None:
    """Give every thread pool of this process the CPUs that its stage asked for, at least one; before torch is loaded.

    Libraries that load later read OMP_NUM_THREADS. Ray sets it too, but for a worker that is started ahead of its
    task only after NumPy is loaded.
    """
    threads = max(1, int(cpus))
    os.environ["OMP_NUM_THREADS"] = str(threads)
    threadpoolctl.threadpool_limits(threads)
    pa.set_cpu_count(threads)


def _pass(
    job: Job, stage: str, row: Row, work: Callable[[str, dict[str, Any], memoryview, StageClock, AtWork], Row]
) -> Row:
    unit, meta, payload = rows.open_row(row)
    if rows.fault_of(unit, meta):
        return row
    return _carry(job, stage, unit, lambda clock, at_work: work(unit, meta, payload, clock, at_work))


def _carry(job: Job, stage: str, unit: str, work: Callable[[StageClock, AtWork], Row]) -> Row:
    """The one place where any failure of a stage becomes a fault: Ray would drop the unit without a word."""
    where = stage
    try:
        with ledger.at_work(job.run, stage, unit) as at_work:
            where += f", attempt {at_work.attempt}" if at_work.attempt > 1 else ""
            return work(StageClock(stage, attempt=at_work.attempt), at_work)
    except VoxmillError as error:
        return rows.from_fault(unit, f"{where}: {error}", redacted_trace())
    except Exception as error:  # noqa: BLE001
        return rows.from_fault(unit, redact(f"{where}: {type(error).__name__}: {error}"), redacted_trace())
