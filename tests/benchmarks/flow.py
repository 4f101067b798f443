"""FLAC on a memory disk to Parquet on it, through `pipeline.flow` and without Ray: audio seconds a second.

    python tests/benchmarks/flow.py [--minutes 600] [--json FILE]                full size, on a machine with a GPU
    python tests/benchmarks/flow.py --device cpu --model pipeline/demo/digits-ctc --minutes 10        a rehearsal

LibriSpeech test-other (VOXMILL_SPEECH) is copied so often that it lasts that long, planned, read and featurised by
`--workers` processes, run through a random model of full size in this process, and turned into rows and committed by
the same workers. Features travel as files of the memory disk that are mapped, not copied. On a GPU two threads take
units in turns: while one stitches a unit, the other's batches run.

The clock starts when all processes and the model are warm, and stops with the last commit. Each stage's own speed is
that of its workers as long as they were at work. Exit code 1 unless the plan has each copy once, and the table one row
without an error for each.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import queue
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import audio, choices, config, flow, plan, table  # noqa: E402
from pipeline.choices import Choice  # noqa: E402
from pipeline.corpus import Seconds  # noqa: E402
from pipeline.fed import Fed  # noqa: E402
from pipeline.job import Checkpoints, Job  # noqa: E402
from pipeline.placement import choose_dtype  # noqa: E402
from pipeline.plan import UnitRef  # noqa: E402
from pipeline.receipts import Timings  # noqa: E402
from pipeline.table.verify import format_verdict, verify  # noqa: E402
from pipeline.tasks import Task  # noqa: E402
from tests import speech  # noqa: E402

if TYPE_CHECKING:
    from pipeline.models.predict import Predictor

MEMORY_DISK = Path("/dev/shm")
LONGEST_UNIT: Seconds = 600.0
UNITS_A_WORKER = 6
"""At least so many, so that the last ones to finish leave little idle."""


@dataclass(frozen=True)
class Ready:
    """A unit as workers prepare it; its frames, (N, 160), or samples lie in a file."""

    unit: str
    prepared: flow.Prepared
    array: Path
    read_seconds: Seconds
    feature_seconds: Seconds

    def opened(self) -> flow.Prepared:
        """With the array mapped; the memory is free once nobody looks at it."""
        array = np.load(self.array, mmap_mode="r")
        self.array.unlink()
        return replace(self.prepared, **{array_of(self.prepared): array})


def array_of(prepared: flow.Prepared) -> str:
    """Name of the field that is large."""
    return "frames" if isinstance(prepared, flow.UnitFeatures) else "samples"


@dataclass(frozen=True)
class Inferred:
    """A unit whose outputs have gone to a worker."""

    ready: Ready
    waited: Seconds
    seconds: Seconds
    fed: Fed
    committed: Future[Seconds]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dtype", default="auto", help="of the model; features travel in half precision if it is")
    parser.add_argument("--minutes", type=float, default=600, help="of audio")
    parser.add_argument("--workers", type=int, default=max(1, len(os.sched_getaffinity(0)) - 1))
    parser.add_argument("--model", type=Path, help="checkpoint; default: a random one of full size")
    parser.add_argument("--layers", type=int, default=24, help="of the random one")
    parser.add_argument(
        "--features", choices=("float64", "float32", "device"), default="float64", help="what computes them"
    )
    parser.add_argument("--window", type=float, default=config.make({}).window, help="longest that the model sees, s")
    parser.add_argument("--unit-seconds", type=float, help="default: 10 minutes, less where there are few of them")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    # For the workers; this process sets its own threads.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None) as folder:
        results, held = measure(Path(folder), options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0 if held else 1


def measure(folder: Path, options: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    """Make everything, let it run, print what it came to; and whether the table is what it must be."""
    copies, seconds = copy_corpus(folder / "corpus", 60 * options.minutes)
    job, choice = make_job(folder, options)
    unit_seconds = options.unit_seconds or min(LONGEST_UNIT, seconds / (UNITS_A_WORKER * options.workers))
    planned, refs = make_plan(job, choice, folder / "corpus", unit_seconds)
    figures = timed(
        Stages(job, {choice.checkpoint.hash: choice.checkpoint.path}, folder), refs, options.workers, seconds
    )
    verdict = verify(job.output)
    print_figures(figures, f"{copies} recordings, {seconds:.0f} s in {len(refs)} units; {options.workers} workers")
    print(format_verdict("the table", verdict))
    rows, errors = sum(each.rows for each in verdict.tasks), sum(each.errors for each in verdict.tasks)
    held = verdict.complete and planned == verdict.recordings == rows == copies and not errors
    return {"machine": machine(options.device), "options": told(options, job), "flow": figures}, held


def machine(device: str) -> dict[str, Any]:
    """Where and with what it was measured."""
    import torch

    from tests.benchmarks import gpu
    from tests.benchmarks.header import processor

    return gpu.machine(torch.device(device)) | {"processor": processor(), "cores": len(os.sched_getaffinity(0))}


def told(options: argparse.Namespace, job: Job) -> dict[str, Any]:
    """What was asked for, and what that came to."""
    asked = {name: getattr(options, name) for name in ("minutes", "workers", "window", "features")}
    layers = options.layers if options.model is None else None
    return asked | {"model": job.tasks[0].model_name, "layers": layers, "dtype": job.dtype}


def copy_corpus(folder: Path, seconds: Seconds) -> tuple[int, Seconds]:
    """Copy utterances over and over until there is so much audio; how many, and how much."""
    import soundfile

    files = sorted((speech.FOLDER / "librispeech/test-other").rglob("*.flac"))
    if not files:
        raise SystemExit(f"{speech.FOLDER}: no LibriSpeech test-other; set VOXMILL_SPEECH to where it is")
    lengths = [soundfile.info(file).duration for file in files]
    folder.mkdir()
    copies, copied = 0, 0.0
    for file, length in cycle(zip(files, lengths, strict=True)):
        if copied >= seconds:
            return copies, copied
        shutil.copyfile(file, folder / f"{copies // len(files):04d}-{file.name}")
        copies, copied = copies + 1, copied + length
    raise AssertionError("a cycle has no end")


def make_job(folder: Path, options: argparse.Namespace) -> tuple[Job, Choice]:
    """The job that a run with the default options would do, and its task."""
    from tests.benchmarks.real_size import make_checkpoint

    if options.model is None:
        make_checkpoint(folder / "model", layers=options.layers)
    asked = {name: getattr(options, name) for name in ("device", "dtype", "features", "window")}
    chosen = config.make({"model": str(options.model or folder / "model"), **asked})
    (choice,) = choices.choose("transcribe", chosen)
    dtype = choose_dtype(chosen, options.device)
    half = dtype in ("bfloat16", "float16")
    settings = flow.Settings.of(window=chosen.window, context=chosen.context, half=half, features=chosen.features)
    job = Job(
        run="benchmark", output=str(folder / "out"), tasks=(choice.job,), device=options.device, dtype=dtype,
        settings=settings, config=chosen,
    )  # fmt: skip
    return job, choice


def make_plan(job: Job, choice: Choice, corpus: Path, unit_seconds: Seconds) -> tuple[int, list[UnitRef]]:
    """Recordings and units of the plan, and a table that is declared."""
    Path(job.output).mkdir()
    report = plan.extend([str(corpus)], job.output, corpus="speech", unit_seconds=unit_seconds)
    table.declare(job.output, choice.name, choice.record(job.config))
    return report.planned, plan.units(job.output)


def make_predictors(job: Job, checkpoints: Checkpoints) -> list[Predictor]:
    """One on a CPU, two that share the model on a GPU."""
    from pipeline.models.predict import Predictor

    (first,) = job.load_predictors(checkpoints)
    return [first] if job.device == "cpu" else [first, Predictor(first.models)]


def warm_up(job: Job, predictors: Sequence[Predictor], tasks: Mapping[str, Task]) -> None:
    """Let everything be compiled for changing sizes, and memory be there."""
    from pipeline.models.wants import Want

    wants = {name: Want(name, task.reduce) for name, task in tasks.items()}
    longest = predictors[0].frame_budget
    frames = np.random.default_rng(0).standard_normal((longest, 160)).astype(job.settings.dtype)
    for total in (longest, longest // 2, longest // 3, 100):
        windows = audio.cut(total, window=job.settings.window, context=job.settings.context)
        for predictor in predictors:
            predictor.run(frames, [windows], wants)


@dataclass(frozen=True)
class Stages:
    """What is done, and where frames are put on their way."""

    job: Job
    checkpoints: Checkpoints
    folder: Path


def timed(stages: Stages, refs: Sequence[UnitRef], workers: int, heard: Seconds) -> dict[str, float]:
    """Start all processes and the model, and then the clock."""
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - workers))
    predictors, tasks = make_predictors(stages.job, stages.checkpoints), stages.job.load_tasks(stages.checkpoints)
    warm_up(stages.job, predictors, tasks)
    context = multiprocessing.get_context("forkserver")
    barrier = context.Barrier(workers)
    with ProcessPoolExecutor(workers, context, initializer=start_worker, initargs=(barrier,)) as pool:
        list(pool.map(awake, range(workers)))
        begun = time.perf_counter()
        done = stream(stages, refs, pool, predictors, tasks, ahead=2 * workers + len(predictors))
        committing = [each.committed.result() for each in done]
        spent = time.perf_counter() - begun
    return stage_figures(done, committing, spent, heard, workers, len(predictors))


def stream(
    stages: Stages,
    refs: Sequence[UnitRef],
    pool: ProcessPoolExecutor,
    predictors: Sequence[Predictor],
    tasks: dict[str, Task],
    *,
    ahead: int,
) -> list[Inferred]:
    """Take all units through the model in the order in which they get ready, `ahead` of them under way at once."""
    waiting: queue.SimpleQueue[UnitRef] = queue.SimpleQueue()
    ready: queue.SimpleQueue[Future[Ready]] = queue.SimpleQueue()
    free: queue.SimpleQueue[Predictor] = queue.SimpleQueue()

    def order() -> None:
        with suppress(queue.Empty):
            ref = waiting.get_nowait()
            pool.submit(prepare, stages, ref).add_done_callback(ready.put)

    def infer(_: UnitRef) -> Inferred:
        predictor, begun = free.get(), time.perf_counter()
        try:
            future = ready.get(timeout=600)
            order()
            unit, arrived = future.result(), time.perf_counter()
            outputs = stages.job.infer(stages.job.featurised(unit.opened()), tasks, [predictor], tasks)
        finally:
            free.put(predictor)
        spent = time.perf_counter() - arrived
        committed = pool.submit(finish, stages, unit.unit, outputs)
        return Inferred(unit, arrived - begun, spent, outputs.fed, committed)

    for ref in refs:
        waiting.put(ref)
    for predictor in predictors:
        free.put(predictor)
    for _ in islice(refs, ahead):
        order()
    with ThreadPoolExecutor(len(predictors)) as threads:
        return list(threads.map(infer, refs))


def start_worker(barrier: Any) -> None:
    """One thread, what is slow to load loaded, and all workers there."""
    import soundfile  # noqa: F401

    pa.set_cpu_count(1)
    barrier.wait()


def awake(number: int) -> int:
    return number


def prepare(stages: Stages, ref: UnitRef) -> Ready:
    """Read and prepare a unit, and leave its frames or samples on the memory disk."""
    begun = time.perf_counter()
    encoded = flow.read(plan.load_unit(stages.job.output, ref))
    read = time.perf_counter()
    prepared = flow.prepare(encoded, stages.job.settings)
    file, name = stages.folder / f"{ref.name}.npy", array_of(prepared)
    array = getattr(prepared, name)
    np.save(file, array)
    bare = replace(prepared, **{name: array[:0].copy()})
    return Ready(ref.name, bare, file, read - begun, time.perf_counter() - read)


def finish(stages: Stages, unit: str, outputs: flow.UnitOutputs) -> Seconds:
    """Commit the rows of a unit; how long it took."""
    begun = time.perf_counter()
    tasks = stages.job.load_tasks(stages.checkpoints)
    receipts = stages.job.finish(unit, outputs, list(tasks), tasks, Timings)
    faults = [receipt.fault for receipt in receipts if receipt.fault]
    if faults:
        raise RuntimeError(faults[0])
    return time.perf_counter() - begun


def stage_figures(
    done: Sequence[Inferred],
    committing: Sequence[Seconds],
    spent: Seconds,
    heard: Seconds,
    workers: int,
    threads: int,
) -> dict[str, float]:
    """Audio seconds a second: of the whole, and of each stage if its workers did nothing else."""
    work = {
        "read": sum(each.ready.read_seconds for each in done) / workers,
        "features": sum(each.ready.feature_seconds for each in done) / workers,
        "rows and commit": sum(committing) / workers,
        "model": sum(each.seconds for each in done) / threads,
    }
    fed = reduce(Fed.plus, [each.fed for each in done])
    return {
        "x real time, all": heard / spent,
        **{f"x real time, {stage}": heard / seconds for stage, seconds in work.items()},
        "x real time, workers' stages": heard / (work["read"] + work["features"] + work["rows and commit"]),
        "seconds": spent,
        "seconds to the first features": done[0].waited,
        "share of time the model waited": sum(each.waited for each in done) / threads / spent,
        "share of frames that is context": fed.context_share,
        "share of frames that is padding": fed.padding_share,
    }


def print_figures(figures: dict[str, float], title: str) -> None:
    print(title)
    for name, value in figures.items():
        print(f"  {name:32} {value:10.4g}")


if __name__ == "__main__":
    sys.exit(main())
