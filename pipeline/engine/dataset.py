"""The chain on Ray Data: read, features, model, commit; one row a unit, receipts to the driver."""

from __future__ import annotations

import contextlib
import gc
import threading
import warnings
import weakref
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext, Dataset, TaskPoolStrategy
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.data._internal.execution.streaming_executor import StreamingExecutor

from pipeline.engine import losses, rows
from pipeline.engine.datasource import UnitSource
from pipeline.engine.resources import Pools
from pipeline.engine.shipping import Shipped
from pipeline.engine.stages import Commit, Features, Inference, Read
from pipeline.job import Job, Work
from pipeline.receipts import Receipt

TRIES_AFTER_A_CRASH = 3
"""How often Ray repeats a task whose worker died; without a bound, a unit that kills its worker loops for ever."""

IN_FLIGHT = 2
"""Units that an actor has: one at work, one waiting, so that it never idles between two."""

LEAST_READ_TASKS = 64
READ_TASKS_A_SLOT = 8
"""Units are cut into at least so many shares, and so many for each read at a time, whichever are more: each slot gets
several, so that a slow share holds up no other, and few enough to be scheduled at once. By judgement."""

ROWS_ON_GPUS = 1
"""Ray wants a number of rows where GPUs are asked for; a block is one row, so this is what None is elsewhere."""

ACTOR_RESTARTS = 1000
"""An actor may come back this often; the bound on its tasks is what ends a loop."""


class Running:
    """What a run has Ray do at this moment, to be ended from another thread."""

    def __init__(self) -> None:
        self.stopped = False
        self._thread = 0

    def begin(self) -> None:
        """Say that Ray's work is waited for in this thread."""
        self._thread = threading.get_ident()

    def stop(self) -> None:
        """End Ray's work, whatever its workers are at."""
        self.stopped = True
        reference = _EXECUTORS.get(self._thread)
        if executor := reference and reference():
            executor.shutdown(force=True)


_EXECUTORS: dict[int, weakref.ref[StreamingExecutor]] = {}
"""Thread that waits for it -> the last of Ray's executors that was started there. Ray itself hands none out before the
first row has come."""


class _Noted(ExecutionCallback):
    """Notes which executor Ray starts."""

    def before_execution_starts(self, executor: StreamingExecutor) -> None:
        _EXECUTORS[threading.get_ident()] = weakref.ref(executor)


def receipts(
    job: Job, units: Sequence[Work], shipped: Sequence[Shipped], pools: Pools, *, running: Running
) -> Generator[Receipt]:
    """A receipt for each task of each unit, as soon as that ended; at last a fault for each whose worker kept dying.

    Args:
        job: what is done to each unit.
        units: the pending ones.
        shipped: the checkpoints, for workers.
        pools: how many workers of which size.
        running: is told what runs, and tells when to end.
    """
    running.begin()
    missing = {unit.name: unit for unit in units}
    # What waited behind a unit that killed its worker is lost with it: once more, nobody waiting behind anybody.
    with DataContext.current(_context()), losses.noted() as lost:
        for in_flight in (IN_FLIGHT, 1):
            if missing and not running.stopped:
                ended = _run(_chain(job, list(missing.values()), shipped, pools, in_flight=in_flight))
                with contextlib.closing(ended):
                    for receipt in ended:
                        missing.pop(receipt.unit, None)
                        yield receipt
                # Ray's record of an actor's death holds the actor in a cycle, and that holds its CPUs.
                gc.collect()
    for name in missing:
        yield Receipt(name, "fault", fault=lost.reason)


def _run(dataset: Dataset) -> Generator[Receipt]:
    batches: Iterable[pa.Table] = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for batch in batches:
        for index in range(batch.num_rows):
            yield from rows.to_receipts(batch.slice(index, 1))


def _chain(job: Job, units: Sequence[Work], shipped: Sequence[Shipped], pools: Pools, *, in_flight: int) -> Dataset:
    source = UnitSource(units, Read(job), tasks=max(LEAST_READ_TASKS, READ_TASKS_A_SLOT * pools.read_tasks))
    with _unnamed_parameters():
        dataset: Dataset = ray.data.read_datasource(
            source,
            override_num_blocks=source.num_tasks,
            num_cpus=pools.read_cpus,
            memory=pools.needs.read or None,
            compute=TaskPoolStrategy(size=min(pools.read_tasks, source.num_tasks)),
            ray_remote_args={"max_retries": TRIES_AFTER_A_CRASH},
        )
    # An actor that will see no unit would only delay the others' start.
    most = len(units)
    last = pools.teams[-1]
    models = [
        (
            Inference,
            (job, shipped, pools.model_cpus, team.encoders, team is last),
            pools.model_actors,
            pools.model_cpus,
            pools.model_gpus if len(pools.teams) == 1 else team.gpus,
            need,
        )
        for team, need in zip(pools.teams, pools.needs.models, strict=True)
    ]
    stages = (
        (Features, (job, pools.feature_cpus), pools.feature_actors, pools.feature_cpus, 0.0, pools.needs.features),
        *models,
        (Commit, (job, shipped), pools.commit_tasks, pools.commit_cpus, 0.0, pools.needs.commit),
    )
    for stage, arguments, size, cpus, gpus, memory in stages:
        pool = ActorPoolStrategy(size=min(size, most), max_tasks_in_flight_per_actor=in_flight)
        dataset = _mapped(dataset, stage, arguments, pool, cpus, gpus, memory)
    return dataset


def _mapped(
    dataset: Dataset,
    stage: type,
    arguments: tuple[Any, ...],
    pool: ActorPoolStrategy,
    cpus: float,
    gpus: float,
    memory: int,
) -> Dataset:
    with _unnamed_parameters():
        mapped: Dataset = dataset.map_batches(
            stage,
            batch_size=ROWS_ON_GPUS if gpus else None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=pool,
            fn_constructor_args=arguments,
            num_cpus=cpus,
            num_gpus=gpus or None,
            memory=memory or None,
            max_restarts=ACTOR_RESTARTS,
            max_task_retries=TRIES_AFTER_A_CRASH,
        )
    return mapped


@contextmanager
def _unnamed_parameters() -> Iterator[None]:
    """Named parameters for restarts and retries do not exist; the arguments that carry them warn that they will go."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _context() -> DataContext:
    """How Ray Data is to work; a copy, for what else this process has Ray Data do is to lose no block."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    # Rows must not be merged into larger blocks: a block is a unit, the atom of retry and commit.
    context.target_max_block_size = 1
    context.target_min_block_size = 1
    # A unit whose worker kept dying is dropped by Ray and stays pending; the others go on.
    context.max_errored_blocks = -1
    # The driver has a watchdog of its own: Ray's lives in the thread that may stand still, and takes workers that hang
    # for an end.
    context.execution_no_progress_timeout_s = -1
    if _Noted not in context.custom_execution_callback_classes:
        context.custom_execution_callback_classes.append(_Noted)
    context.actor_init_retry_on_errors = True
    context.actor_init_max_retries = 2
    # One that has said so three times will not start: its reason ends the run. A process that dies is no such one.
    context.max_consecutive_actor_init_deaths = 0
    return context
