"""The work of a run: what is lacking is done, by this process or by a cluster, and counted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline import alone, choices, flow, table
from pipeline.asked import Asked
from pipeline.choices import Choice
from pipeline.counting import Counting
from pipeline.display import showing, waiting
from pipeline.errors import StorageFault, UserError
from pipeline.hanging import leave, storage_watched
from pipeline.job import Job, Work
from pipeline.placement import choose_dtype
from pipeline.plan import Planned, held
from pipeline.receipts import Receipt
from pipeline.stopping import Stopped, stoppable
from pipeline.storage.retry import at_once
from pipeline.summary import PARTIAL
from pipeline.tally import Tally

HERE = "this process"
"""What does the work of one short recording, as the run's manifest tells it."""
RECENT = 20
"""Runs among which the last one of a task is looked for."""


@dataclass(frozen=True, slots=True)
class Done:
    """What the work came to."""

    tally: Tally
    pools: str = ""
    stopped: str = ""
    deaths: Mapping[str, int] = field(default_factory=dict)
    """Stage -> workers that died."""


def no_work() -> Done:
    """What no work comes to."""
    return Done(Tally(recordings=0, audio_seconds=0.0, workers={}, clock=lambda: 0.0))


def do(asked: Asked, planned: Planned, lacking: Sequence[Work]) -> Done:
    """Do what is lacking; what goes wrong with it, or a signal, only ends it: what is committed stays.

    Raises:
        UserError: there is no cluster for it, or the labels may not stand beside those that are there.
        StorageFault: the cluster, or the storage, was not there to begin with.
    """
    stopped = ""
    with _workers(asked, lacking) as (receipts, workers, pools, deaths):
        # Only now is it known that there are workers to make such labels.
        with storage_watched(asked, "writing down what is to be done"):
            for choice in asked.wanted:
                table.declare(asked.output, choice.name, choice.record(asked.config), option=asked.beside(choice))
            asked.write_down({**asked.facts(), "state": "running", "lease": True, "pools": pools})
        tally = Tally(
            recordings=planned.shown([work.unit for work in lacking]),
            audio_seconds=sum(work.unit.seconds for work in lacking),
            workers=workers,
            run_began=asked.begin,
            passing=planned.passing,
            old={choice.name: planned.old(choice.name) for choice in asked.wanted},
        )
        counting = Counting(asked.output, tally)
        try:
            # Receipts that are left open would keep Ray's executor at work while Ray shuts down.
            with (
                stoppable(),
                contextlib.closing(receipts),
                showing(tally, console=asked.console, run=asked.name, every=asked.config.log_every),
            ):
                for receipt in receipts:
                    tally.record(receipt)
                    counting.look()
        except Stopped as stop:
            stopped = str(stop)
        except StorageFault as fault:
            stopped = f"by a fault: {fault}"
        counting.end()
        tally.stop()
    for trace in dict.fromkeys(tally.traces.values()):
        print(trace, file=sys.stderr)
    return Done(tally, pools, stopped, dict(deaths))


@contextlib.contextmanager
def _workers(
    asked: Asked, lacking: Sequence[Work]
) -> Generator[tuple[Generator[Receipt], dict[str, int], str, Mapping[str, int]]]:
    """Receipts of what is lacking, from this process or from a cluster.

    Beside them stage -> number of workers, what pools they are, and stage -> workers that died, known at the end.
    """
    config = asked.config
    needed = choices.needed(asked.choices, {name for work in lacking for name in work.tasks})
    checkpoints = {each.checkpoint.hash: each.checkpoint.path for each in needed}
    models = ", ".join(f"{each.checkpoint.name} {each.checkpoint.hash[:8]}" for each in needed)
    for line in choices.shared_encoders(needed):
        asked.say(line)
    here = fits = alone.fits(lacking, config)
    if fits:
        with storage_watched(asked, "looking at the last runs"):
            here = not left_off(asked)
    if fits and not here:
        asked.say("one recording, over which the last run did not come to its end, so on a cluster, which survives it")
    if here:
        device = alone.device(config)
        asked.say(f"one recording, so without a cluster  ·  {device}  ·  model {models}")
        job = job_of(asked, needed, device)
        overdue = partial(leave, asked, goes_on=", on a cluster, which survives it", pools=HERE)
        yield alone.receipts(job, lacking, checkpoints, say=asked.say, overdue=overdue), alone.WORKERS, HERE, {}
        return
    from pipeline.engine import session

    sizes = choices.model_sizes(needed)
    with contextlib.ExitStack() as stack:
        with waiting(asked.console, "joining the cluster" if config.address else "starting Ray"):
            joined = session.opened(
                config, sizes=sizes, units=lacking, held=partial(held, asked.output), say=asked.say,
                watch=partial(storage_watched, asked),
                hung=lambda held, last: leave(asked, held, last=last),
            )  # fmt: skip
            opened = stack.enter_context(joined)
        asked.say(f"{opened.describe()}  ·  model {models}")
        job = job_of(asked, needed, opened.device)
        yield opened.receipts(job, lacking, checkpoints), opened.workers, opened.pools.describe(), opened.deaths


def left_off(asked: Asked) -> bool:
    """Whether the last run of the task did it in its own process and did not come to its end.

    What ended it may be the recording, over which only workers shall die. Where the storage does not tell, nothing is
    lost by another try.
    """
    mine = {name: asked.facts()[name] for name in ("task", "name")}
    with contextlib.suppress(UserError, StorageFault), at_once():
        for record in table.newest_runs(asked.output, RECENT):
            if mine.items() <= record.items():
                ended = record.get("exit_code") not in (None, PARTIAL) or record.get("faults")
                return record.get("pools") == HERE and not ended
    return False


def job_of(asked: Asked, needed: Sequence[Choice], device: str) -> Job:
    """What each worker is told of the run."""
    config = asked.config
    dtype = choose_dtype(config, device)
    settings = flow.Settings.of(
        window=config.window, context=config.context, half=dtype in ("bfloat16", "float16"), features=config.features
    )
    return Job(
        run=asked.name, output=asked.output, tasks=tuple(each.job for each in needed),
        device="cuda" if device == "cuda" else "cpu", dtype=dtype, settings=settings, config=config,
        moves=asked.moves,
    )  # fmt: skip
