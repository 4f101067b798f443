"""One run from sources to table: plan, declare, work, write down. The same for the command line and for Python."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console

from pipeline import alone, checkpoint, flow, plan, table
from pipeline.checkpoint import Checkpoint
from pipeline.config import RunConfig
from pipeline.display import listing, showing, waiting
from pipeline.errors import StorageFault, UserError
from pipeline.job import Job
from pipeline.plan import PlanReport, UnitRef
from pipeline.receipts import Receipt
from pipeline.sources import probe
from pipeline.stopping import Stopped, stoppable
from pipeline.storage.paths import canonical, redact
from pipeline.storage.put import probe_write
from pipeline.summary import COMPLETE, ERRORS, PARTIAL, RunSummary
from pipeline.table import TaskRecord
from pipeline.table.columns import parse_columns
from pipeline.table.schema import schema
from pipeline.tally import Tally
from pipeline.tasks import TASKS
from pipeline.versions import versions

TASK = "transcribe"


def run(sources: Sequence[str], output: str, config: RunConfig, *, console: Console | None = None) -> RunSummary:
    """Plan what is new, do what is pending, and say what happened.

    Args:
        sources: files, folders, tar shards, manifests or patterns.
        output: folder of the table.
        config: the options.
        console: where progress is shown; default standard error.

    Raises:
        UserError: a mistake of the user; nothing was committed by this run.
        StorageFault: storage failed while planning; nothing was planned.
    """
    console = console or Console(stderr=True)
    started, begin = datetime.now(UTC), time.monotonic()
    name = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    say = _printer(console)
    _refuse_credentials([*sources, output])
    model = checkpoint.choose(config.model)
    shown, output = redact(output), canonical(output)
    probe(sources)
    if not config.dry_run:
        _probe_output(output, say)
    report, plan_seconds = _plan(sources, output, config, console)
    if config.dry_run:
        say(plan.format_report(report))
        return _dry_summary(name, started, sources, shown, config, model, report)
    record = _record(config, model)
    table.declare(output, config.name, record)
    units = plan.units(output)
    pending = table.pending(output, config.name, units)
    done = _work(name, pending, output, config, model, console, begin)
    left, trouble = _left(output, config.name, units, pending)
    tally = done.tally
    summary = RunSummary(
        run=name,
        exit_code=_exit_code(tally, report, left=bool(left), config=config),
        output=shown,
        task=config.name,
        sources=tuple(map(redact, sources)),
        model={"name": model.name, "hash": model.hash},
        config=dataclasses.asdict(config),
        started=started.isoformat(),
        finished=datetime.now(UTC).isoformat(),
        versions=versions(),
        pools=done.pools,
        planned_recordings=sum(unit.count for unit in units),
        planned_units=len(units),
        new_recordings=report.planned,
        pending_units=len(left),
        problems=tuple(redact(f"{each.uri}: {each.message}") for each in report.problems),
        plan_seconds=plan_seconds,
        stopped=done.stopped or trouble,
        **tally.totals(),
    )
    try:
        table.write_run(output, name, summary.to_json())
    except StorageFault as fault:
        say(f"the record of this run could not be written: {fault}")
    return summary


def _left(
    output: str, name: str, units: Sequence[UnitRef], pending: Sequence[UnitRef]
) -> tuple[Sequence[UnitRef], str]:
    """What is still pending, all that was where the storage does not tell; and what is wrong with it then."""
    try:
        left = table.pending(output, name, units)
        if not left:
            table.mark_success(output, [name])
    except StorageFault as fault:
        return pending or units[:1], f"by a fault: {fault}"
    return left, ""


def _refuse_credentials(sources: Sequence[str]) -> None:
    """Ids and rows keep a source's URI as it is, so nothing secret may be in it."""
    secret = [redact(source) for source in sources if redact(source) != source]
    if secret:
        raise UserError(f"{secret[0]}: credentials do not belong into a URI; put them into the environment (AWS_...)")


def _printer(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)


def _probe_output(output: str, say: Callable[[str], None]) -> None:
    """Check that the output can be written before any work starts, and say what its storage cannot promise."""
    if not probe_write(output).conditional:
        say(
            f"{redact(output)}: this storage ignores conditional puts (If-None-Match); a unit that two workers finish "
            "at the same time is written twice, the last one stays"
        )


def _plan(sources: Sequence[str], output: str, config: RunConfig, console: Console) -> tuple[PlanReport, float]:
    begin = time.monotonic()
    with listing(console, every=config.log_every) as show:
        report = plan.extend(
            sources,
            output,
            corpus=config.corpus,
            unit_seconds=config.unit_seconds,
            unit_bytes=config.unit_bytes,
            on_progress=show,
            dry_run=config.dry_run,
        )
    return report, time.monotonic() - begin


def _record(config: RunConfig, model: Checkpoint) -> TaskRecord:
    """What makes these labels what they are; sizes of units, pools and batches are not among it."""
    return TaskRecord(
        task=TASK,
        output_version=TASKS[TASK].OUTPUT_VERSION,
        model_name=model.name,
        model_hash=model.hash,
        parameters={
            "window": f"{config.window:g}s",
            "context": f"{config.context:g}s",
            "features": config.features,
            "dtype": config.dtype,
        },
        schema=schema(TASKS[TASK].COLUMNS, parse_columns(config.columns)),
    )


@dataclass(frozen=True, slots=True)
class _Done:
    """What the work came to."""

    tally: Tally
    pools: str = ""
    stopped: str = ""


def _work(
    name: str,
    pending: Sequence[UnitRef],
    output: str,
    config: RunConfig,
    model: Checkpoint,
    console: Console,
    begin: float,
) -> _Done:
    """Do the pending units."""
    if not pending:
        return _Done(Tally(recordings=0, audio_seconds=0.0, workers={}, clock=lambda: 0.0))
    stopped = ""
    with _workers(name, pending, output, config, model, console) as (receipts, workers, pools):
        tally = Tally(
            recordings=sum(unit.count for unit in pending),
            audio_seconds=sum(unit.seconds for unit in pending),
            workers=workers,
            run_began=begin,
        )
        try:
            # Receipts that are left open would keep Ray's executor at work while Ray shuts down.
            with (
                stoppable(),
                contextlib.closing(receipts),
                showing(tally, console=console, run=name, every=config.log_every),
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
    return _Done(tally, pools, stopped)


@contextlib.contextmanager
def _workers(
    name: str,
    pending: Sequence[UnitRef],
    output: str,
    config: RunConfig,
    model: Checkpoint,
    console: Console,
) -> Generator[tuple[Generator[Receipt], dict[str, int], str]]:
    """Receipts of the pending units, from this process or from a cluster, with stage -> number of workers."""
    say = _printer(console)
    if alone.fits(pending, config):
        device = alone.device(config)
        job = _job(name, output, config, model, device)
        say(f"one recording, so without a cluster  ·  {device}  ·  model {model.name}")
        yield alone.receipts(job, pending, model.path, say=say), alone.WORKERS, "this process"
        return
    from pipeline.engine import session

    with contextlib.ExitStack() as stack:
        with waiting(console, "joining the cluster" if config.address else "starting Ray"):
            opened = stack.enter_context(session.opened(config, model_bytes=model.num_bytes, say=say))
        job = _job(name, output, config, model, opened.device)
        say(f"{opened.describe()}  ·  model {model.name} {model.hash[:8]}")
        yield opened.receipts(job, pending, model.path), opened.workers, opened.pools.describe()


def _job(name: str, output: str, config: RunConfig, model: Checkpoint, device: str) -> Job:
    dtype = config.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    settings = flow.Settings.of(
        window=config.window, context=config.context, half=dtype != "float32", features=config.features
    )
    return Job(
        run=name, output=output, task=TASK, name=config.name, model_name=model.name, model_hash=model.hash,
        columns=config.columns, device="cuda" if device == "cuda" else "cpu", dtype=dtype,
        frame_budget=config.frame_budget, settings=settings,
    )  # fmt: skip


def _exit_code(tally: Tally, report: PlanReport, *, left: bool, config: RunConfig) -> int:
    if left:
        return PARTIAL
    # What a listing could not plan is held against all that it listed: it is reported again every night.
    unplanned = report.num_problems / max(1, report.recordings + report.num_problems)
    if max(tally.error_share, unplanned) > config.max_errors and not config.exit_zero_on_errors:
        return ERRORS
    return COMPLETE


def _dry_summary(
    name: str,
    started: datetime,
    sources: Sequence[str],
    output: str,
    config: RunConfig,
    model: Checkpoint,
    report: PlanReport,
) -> RunSummary:
    return RunSummary(
        run=name, exit_code=COMPLETE, output=output, task=config.name, sources=tuple(map(redact, sources)),
        model={"name": model.name, "hash": model.hash}, config=dataclasses.asdict(config),
        started=started.isoformat(), finished=datetime.now(UTC).isoformat(), new_recordings=report.planned,
    )  # fmt: skip
