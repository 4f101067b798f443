"""One short recording in this process: no cluster to start, first words within seconds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Literal

from pipeline import flow
from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.errors import VoxmillError
from pipeline.isolation import Isolated
from pipeline.job import Checkpoints, Job, Work
from pipeline.overdue import unmoved, watched
from pipeline.placement import LOCAL, choose_device, ray_address
from pipeline.plan import load_unit
from pipeline.quantities import show_seconds
from pipeline.receipts import Receipt, Timings
from pipeline.storage.secrets import redacted_trace
from pipeline.timing import StageClock

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.models.predict import Predictor
    from pipeline.tasks import Task

LONGEST: Seconds = 600.0
"""One recording up to this long is transcribed here; a longer one is worth a cluster's start-up."""

WORKERS = {"read": 1, "features": 1, "model": 1, "commit": 1}


def fits(units: Sequence[Work], config: RunConfig) -> bool:
    """Whether the pending work is one short recording that nobody asked a cluster for."""
    asked = (config.gpus, config.num_cpus, config.read_tasks, config.feature_actors, config.model_actors)
    local = ray_address(config.address) == LOCAL
    return (
        local and not any(asked) and len(units) == 1 and units[0].unit.count == 1 and units[0].unit.seconds <= LONGEST
    )


def device(config: RunConfig) -> Literal["cuda", "cpu"]:
    """Where the model runs in this process.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    return choose_device(config, gpus=torch.cuda.device_count(), local=True)


def receipts(
    job: Job,
    units: Sequence[Work],
    checkpoints: Checkpoints,
    *,
    say: Callable[[str], None],
    overdue: Callable[[str], None],
) -> Generator[Receipt]:
    """Receipts of one unit after the other.

    Args:
        job: what is done.
        units: to do it to.
        checkpoints: of all tasks.
        say: is given what was heard, as soon as it is known.
        overdue: is given, in another thread, what holds the model, or storage, for longer than that may take.
    """
    with Isolated(job.limits) as decoder:
        with unmoved(job.config.stall_timeout, lambda: overdue(f"held by storage that has the model, {_silent(job)}")):
            tasks, predictors = job.load_tasks(checkpoints), job.load_predictors(checkpoints)
        for work in units:
            try:
                yield from _receipts(job, work, decoder, predictors, tasks, say, overdue)
            except VoxmillError as error:
                yield Receipt(work.name, "fault", fault=str(error), fault_trace=redacted_trace())


def _receipts(
    job: Job,
    work: Work,
    decoder: Isolated,
    predictors: list[Predictor],
    tasks: dict[str, Task],
    say: Callable[[str], None],
    overdue: Callable[[str], None],
) -> list[Receipt]:
    clock = StageClock("read")
    unit = load_unit(job.output, work.unit, job.moves)
    name = ", ".join(each.id for each in unit.recordings)
    patience, silent = job.config.stall_timeout, _silent(job)
    with unmoved(patience, lambda: overdue(f"{name}: held by storage that is read, {silent}")):
        encoded = flow.read(unit)
    timings = clock.timings()
    clock = StageClock("features")
    prepared = flow.prepare(encoded, job.settings, decoder)
    timings = timings.joined(clock.timings(beside=decoder.peak_bytes))
    clock = StageClock("model")
    longer = f"for more than {show_seconds(job.config.batch_timeout)} in one batch; --batch-timeout gives it longer"
    with watched(job.config.batch_timeout, lambda: overdue(f"{name}: held by the model {longer}")) as beat:
        for predictor in predictors:
            predictor.on_batch = lambda first: beat()
        outputs = job.infer(job.featurised(prepared), work.tasks, predictors, tasks)
    timings = timings.joined(clock.timings()).joined(Timings(seconds={"wait": 0.0}))
    clock = StageClock("commit")

    def show(name: str, rows: pa.Table) -> None:
        for row in rows.to_pylist():
            error = row["error"]
            said = f"{error['stage']}: {error['message']}" if error else tasks[name].told(row)
            say(said if len(work.tasks) == 1 else f"{name}: {said}")

    with unmoved(patience, lambda: overdue(f"{name}: held by storage that is written to, {silent}")):
        return job.finish(work.name, outputs, work.tasks, tasks, lambda: timings.joined(clock.timings()), show=show)


def _silent(job: Job) -> str:
    return f"without an answer for more than {show_seconds(job.config.stall_timeout)}; --stall-timeout gives it longer"
