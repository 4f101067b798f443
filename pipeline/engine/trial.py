"""The process that tries recordings: `python -m pipeline.engine.trial`, started by `pipeline.engine.suspects`.

It runs the model over one recording after the other and says so. What the model says is thrown away: all that matters
is whether this process lives. It ends with the one that asks, and by itself where nobody ends it in time.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from pipeline import flow
from pipeline.audio import FEATURE_SIZE
from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.engine import rows
from pipeline.engine.stages import limit_threads
from pipeline.errors import ErrorRow
from pipeline.flow import Prepared, UnitOutputs, UnitSamples
from pipeline.isolation import messages
from pipeline.isolation.asker import end_with_asker
from pipeline.isolation.handle import START
from pipeline.isolation.limits import limit_memory
from pipeline.isolation.process import MARGIN
from pipeline.job import Job, TaskJob
from pipeline.models.device import usable

_NO_MEMORY = ("MemoryError", "not enough memory", "can't allocate memory", "bad_alloc", "out of memory")
"""What Python says, torch on CPUs, in an error of no class of its own, and whatever has to do with a GPU."""


_LOUD = 0.1
"""Deviation of noise, of 1."""


def main() -> None:
    """Try, until one ends this process or all have passed."""
    channel, shared, size = (int(each) for each in sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _end_after(START + MARGIN)
    with socket.socket(fileno=channel) as ends, ends.makefile("wb") as told:
        end_with_asker(ends)
        order, row = _opened(shared, size)
        limit_threads(order["cpus"])
        _try_all(told, order, row)


def _opened(shared: int, size: int) -> tuple[dict[str, Any], rows.Row]:
    view = memoryview(mmap.mmap(shared, size, prot=mmap.PROT_READ))
    length = int.from_bytes(view[:8], "big")
    with pa.ipc.open_stream(pa.py_buffer(view[8 + length :])) as stream:
        return json.loads(bytes(view[8 : 8 + length])), stream.read_all()


def _try_all(told: BinaryIO, order: dict[str, Any], row: rows.Row) -> None:
    job = _job(order["job"])
    asker = _Asker(told, job.config.batch_timeout)
    checkpoints = {hash: Path(path) for hash, path in order["checkpoints"].items()}
    tasks, predictors = job.load_tasks(checkpoints), job.load_predictors(checkpoints, order["encoders"])
    for predictor in predictors:
        predictor.on_batch = lambda first: asker.tell({"beat": True})
    _, meta, payload = rows.open_row(row)
    prepared = rows.to_prepared(meta, payload)
    known = rows.to_outputs(meta, payload) if "kept" in meta else None
    asker.tell({"ready": True})
    if job.device == "cpu":
        limit_memory(job.config.recording_memory)
    indices = order["indices"]
    wanted = rows.tasks_of(meta)

    def infer(alone: Prepared, before: UnitOutputs | None) -> UnitOutputs:
        return job.infer(job.featurised(alone), wanted, predictors, tasks, before)

    for number, index in enumerate((indices[0], *indices)):
        alone, before = _alone(prepared, known, index)
        if number == 0:
            alone = _noise(alone)
        message = _tried(partial(infer, alone, before), before, job.device)
        asker.tell(message)
        if "done" not in message:
            return


def _tried(infer: Callable[[], UnitOutputs], known: UnitOutputs | None, device: str) -> dict[str, Any]:
    """What to say of a recording; where only some tasks failed, the stage itself tells their other faults."""
    message: dict[str, Any] = {"done": True}
    try:
        before = known.faults if known else {}
        faults = [fault for name, fault in infer().faults.items() if name not in before]
    except Exception as error:  # noqa: BLE001
        faults = [f"{type(error).__name__}: {error}"]
        message = {"fault": faults[0]}
    if any(words in fault for fault in faults for words in _NO_MEMORY):
        return {"memory": True}
    if faults and not usable(device):
        os._exit(1)
    return message


def _alone(prepared: Prepared, known: UnitOutputs | None, index: int) -> tuple[Prepared, UnitOutputs | None]:
    others = {i: ErrorRow("model", "absent", "") for i in range(len(prepared.recordings)) if i != index}
    return prepared.without(others), known.without(others) if known else None


def _noise(alone: Prepared) -> Prepared:
    """As many frames or samples, of nothing: features are normalised, and so is this."""
    dice = np.random.default_rng(0)
    if isinstance(alone, UnitSamples):
        samples = alone.samples
        loud = _LOUD * (np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1)
        return replace(alone, samples=(loud * dice.standard_normal(len(samples), np.float32)).astype(samples.dtype))
    frames = alone.frames
    noise = dice.standard_normal((len(frames), FEATURE_SIZE), np.float32)
    return replace(alone, frames=noise.astype(frames.dtype, copy=False))


def _job(told: dict[str, Any]) -> Job:
    config = RunConfig(**told["config"] | {"task": tuple(told["config"]["task"])})
    tasks = tuple(TaskJob(**each) for each in told["tasks"])
    return Job(**told | {"tasks": tasks, "settings": flow.Settings(**told["settings"]), "config": config})


@dataclass(frozen=True, slots=True)
class _Asker:
    told: BinaryIO
    seconds: Seconds
    """How long it waits for each message."""

    def tell(self, message: dict[str, Any]) -> None:
        _end_after(self.seconds + MARGIN)
        messages.send(self.told, message)
        self.told.flush()


def _end_after(seconds: Seconds) -> None:
    """End this process then, whatever it hangs in; but who asks has done so by then, unless it is gone or stuck."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main()
