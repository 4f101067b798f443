"""The work of a run: what is lacking is done, by this process or by a cluster, and counted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import alone, choices, flow, table
from pipeline.asked import Asked
from pipeline.choices import Choice
from pipeline.display import showing, waiting
from pipeline.errors import StorageFault, UserError
from pipeline.job import Job, Work
from pipeline.placement import choose_dtype
from pipeline.plan import Planned
from pipeline.receipts import Receipt
from pipeline.stopping import Stopped, stoppable
from pipeline.summary import FAILURE, PARTIAL
from pipeline.tally import Tally


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
        for choice in asked.wanted:
            table.declare(asked.output, choice.name, choice.record(asked.config), option=asked.beside(choice))
        asked.write_down({**asked.facts(), "state": "running", "lease": True})
        tally = Tally(
            recordings=planned.shown([work.unit for work in lacking]),
            audio_seconds=sum(work.unit.seconds for work in lacking),
            workers=workers,
            run_began=asked.begin,
            passing=planned.passing,
        )
        try:
            # Receipts that are left open would keep Ray's executor at work while Ray shuts down.
            with (
                stoppable(),
                contextlib.closing(receipts),
                showing(tally, console=asked.console, run=asked.name, every=asked.config.log_every),
            ):
                for receipt in receipts:
                    tally.record(receipt)
        except Stopped as stop:
            stopped = str(stop)
        except StorageFault as fault:
            stopped = f"by a fault: {fault}"
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
    if alone.fits(lacking, config) and not left_off(asked):
        device = alone.device(config)
        asked.say(f"one recording, so without a cluster  ·  {device}  ·  model {models}")
        job = job_of(asked, needed, device)
        yield alone.receipts(job, lacking, checkpoints, say=asked.say), alone.WORKERS, "this process", {}
        return
    from pipeline.engine import session

    sizes = choices.model_sizes(needed)
    with contextlib.ExitStack() as stack:
        with waiting(asked.console, "joining the cluster" if config.address else "starting Ray"):
            opened = stack.enter_context(session.opened(config, sizes=sizes, units=lacking, say=asked.say))
        asked.say(f"{opened.describe()}  ·  model {models}")
        job = job_of(asked, needed, opened.device)
        yield opened.receipts(job, lacking, checkpoints), opened.workers, opened.pools.describe(), opened.deaths


def left_off(asked: Asked) -> bool:
    """Whether the last run was ended before its time: a recording that ends its process needs one that outlives it."""
    try:
        last = table.newest_run(asked.output)
    except UserError:
        return True
    left_off = last is not None and last.get("exit_code") in (None, FAILURE, PARTIAL)
    if left_off:
        asked.say("one recording, but the last run did not come to its end, so on a cluster, which survives it")
    return left_off


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
    )  # fmt: skip
