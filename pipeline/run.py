"""One run from sources to table: plan, declare, work, write down. The same for the command line and for Python."""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc
from rich.console import Console

from pipeline import alone, checkpoint, flow, plan, table
from pipeline.checkpoint import Checkpoint
from pipeline.config import RunConfig
from pipeline.display import listing, showing, waiting
from pipeline.errors import StorageFault, UserError
from pipeline.job import Job
from pipeline.placement import choose_dtype
from pipeline.plan import PlanReport, UnitRef
from pipeline.receipts import Receipt
from pipeline.sources import probe
from pipeline.stopping import Stopped, stoppable
from pipeline.storage.paths import canonical, redact
from pipeline.storage.put import probe_write
from pipeline.summary import COMPLETE, ERRORS, PARTIAL, RunSummary
from pipeline.table import TaskRecord, Totals
from pipeline.table.columns import parse_columns
from pipeline.table.schema import schema
from pipeline.tally import Tally
from pipeline.tasks import TASKS
from pipeline.versions import versions

TASK = "transcribe"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run: what was asked, and what every step of it needs to know."""

    name: str
    sources: Sequence[str]
    output: str
    shown: str
    """The output as the user wrote it, without secrets."""
    config: RunConfig
    model: Checkpoint
    console: Console
    started: datetime
    begin: float
    """Monotonic seconds."""

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the run whatever became of it."""
        return {
            "run": self.name,
            "output": self.shown,
            "task": TASK,
            "name": self.config.name,
            "sources": tuple(map(redact, self.sources)),
            "model": {"name": self.model.name, "hash": self.model.hash},
            "config": dataclasses.asdict(self.config),
            "started": self.started.isoformat(),
        }


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
    started, begin = datetime.now(UTC), time.monotonic()
    _refuse_credentials([*sources, output])
    asked = _Run(
        name=f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}-{secrets.token_hex(2)}",
        sources=sources,
        output=canonical(output),
        shown=redact(output),
        config=config,
        model=checkpoint.choose(config.model),
        console=console or Console(stderr=True),
        started=started,
        begin=begin,
    )
    probe(sources)
    if not config.dry_run:
        _probe_output(asked)
    record = _record(asked.config, asked.model)
    _compare(asked, record)
    report, plan_seconds = _plan(asked)
    if config.dry_run:
        asked.say(plan.format_report(report))
        return RunSummary(**asked.facts(), finished=_now(), exit_code=COMPLETE, new_recordings=report.planned)
    summary = _transcribe(asked, record, report, plan_seconds)
    _write_down(asked, summary.to_json())
    return summary


def _transcribe(asked: _Run, record: TaskRecord, report: PlanReport, plan_seconds: float) -> RunSummary:
    output, name = asked.output, asked.config.name
    units = plan.units(output)
    pending = table.pending(output, name, units)
    before = _before(asked, units, pending)
    done = _work(asked, record, pending) if pending else _Done(_no_tally())
    left, trouble = _left(asked, units, pending, before)
    rows, errors = _totals(asked, before, done.tally)
    return RunSummary(
        **asked.facts(),
        finished=_now(),
        exit_code=_exit_code(report, rows, errors, left=bool(left), config=asked.config),
        versions=versions(),
        pools=done.pools,
        planned_recordings=sum(unit.count for unit in units),
        planned_units=len(units),
        new_recordings=report.planned,
        pending_units=len(left),
        table_rows=rows,
        table_errors=errors,
        damaged=before.damaged,
        problems=tuple(redact(f"{each.uri}: {each.message}") for each in report.problems),
        plan_seconds=plan_seconds,
        stopped=done.stopped or trouble,
        **done.tally.totals(),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _write_down(asked: _Run, record: Mapping[str, Any]) -> None:
    try:
        table.write_run(asked.output, asked.name, record)
    except StorageFault as fault:
        asked.say(f"the record of this run could not be written: {fault}")


def _refuse_credentials(sources: Sequence[str]) -> None:
    """Ids and rows keep a source's URI as it is, so nothing secret may be in it."""
    secret = [redact(source) for source in sources if redact(source) != source]
    if secret:
        raise UserError(f"{secret[0]}: credentials do not belong into a URI; put them into the environment (AWS_...)")


def _probe_output(asked: _Run) -> None:
    """Check that the output can be written before any work starts, and say what its storage cannot promise."""
    if not probe_write(asked.output).conditional:
        asked.say(
            f"{asked.shown}: this storage ignores conditional puts (If-None-Match); a unit that two workers finish "
            "at the same time is written twice, the last one stays"
        )


def _plan(asked: _Run) -> tuple[PlanReport, float]:
    begin, config = time.monotonic(), asked.config
    with listing(asked.console, every=config.log_every) as show:
        report = plan.extend(
            asked.sources,
            asked.output,
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


def _compare(asked: _Run, record: TaskRecord) -> None:
    """Check before any work that what is there is whole, and that the new labels may stand beside it."""
    table.require_plan(asked.output)
    before = table.compare(asked.output, asked.config.name, record)
    if before is None or before.schema is None or record.schema is None:
        return
    new = [column for column in record.schema.names if column not in before.schema.names]
    if new:
        asked.say(f"{', '.join(new)}: new in this table, so empty in rows that are there; --name NAME makes them anew")


def _before(asked: _Run, units: Sequence[UnitRef], pending: Sequence[UnitRef]) -> Totals:
    """What was in the table before this run."""
    names = {unit.name for unit in pending}
    return table.totals(asked.output, asked.config.name, [unit for unit in units if unit.name not in names])


def _totals(asked: _Run, before: Totals, tally: Tally) -> tuple[int, int]:
    """Rows of the table and those with an error; of a recording that has changed, only the newest counts."""
    with contextlib.suppress(StorageFault, UserError):
        if plan.superseded(asked.output):
            shown = table.read_table(asked.output, task=asked.config.name)
            return shown.count_rows(), shown.count_rows(filter=pc.field("error").is_valid())
    return before.rows + tally.done, before.errors + sum(tally.errors.values())


def _left(
    asked: _Run, units: Sequence[UnitRef], pending: Sequence[UnitRef], before: Totals
) -> tuple[Sequence[UnitRef], str]:
    """What is still pending, all that was where the storage does not tell; and what is wrong with it then."""
    try:
        left = table.pending(asked.output, asked.config.name, units)
        if before.damaged:
            file, *more = before.damaged
            also = f" and {len(more):,} more" if more else ""
            return left or units[:1], f"short of its end: {file}{also} is damaged; delete it and run again"
        if not left:
            table.mark_success(asked.output, [asked.config.name])
    except (StorageFault, UserError) as fault:
        return pending or units[:1], f"by a fault: {fault}"
    return left, ""


@dataclass(frozen=True, slots=True)
class _Done:
    """What the work came to."""

    tally: Tally
    pools: str = ""
    stopped: str = ""


def _no_tally() -> Tally:
    return Tally(recordings=0, audio_seconds=0.0, workers={}, clock=lambda: 0.0)


def _work(asked: _Run, record: TaskRecord, pending: Sequence[UnitRef]) -> _Done:
    """Do the pending units."""
    stopped = ""
    with _workers(asked, pending) as (receipts, workers, pools):
        # Only now is it known that there are workers to make such labels.
        table.declare(asked.output, asked.config.name, record)
        _write_down(asked, {**asked.facts(), "state": "running"})
        tally = Tally(
            recordings=sum(unit.count for unit in pending),
            audio_seconds=sum(unit.seconds for unit in pending),
            workers=workers,
            run_began=asked.begin,
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
    return _Done(tally, pools, stopped)


@contextlib.contextmanager
def _workers(asked: _Run, pending: Sequence[UnitRef]) -> Generator[tuple[Generator[Receipt], dict[str, int], str]]:
    """Receipts of the pending units, from this process or from a cluster, with stage -> number of workers."""
    config, model = asked.config, asked.model
    if alone.fits(pending, config):
        device = alone.device(config)
        asked.say(f"one recording, so without a cluster  ·  {device}  ·  model {model.name}")
        job = _job(asked, device)
        yield alone.receipts(job, pending, model.path, say=asked.say), alone.WORKERS, "this process"
        return
    from pipeline.engine import session

    with contextlib.ExitStack() as stack:
        with waiting(asked.console, "joining the cluster" if config.address else "starting Ray"):
            opened = stack.enter_context(session.opened(config, model_bytes=model.num_bytes, say=asked.say))
        asked.say(f"{opened.describe()}  ·  model {model.name} {model.hash[:8]}")
        job = _job(asked, opened.device)
        yield opened.receipts(job, pending, model.path), opened.workers, opened.pools.describe()


def _job(asked: _Run, device: str) -> Job:
    config, model = asked.config, asked.model
    dtype = choose_dtype(config, device)
    settings = flow.Settings.of(
        window=config.window, context=config.context, half=dtype in ("bfloat16", "float16"), features=config.features
    )
    return Job(
        run=asked.name, output=asked.output, task=TASK, name=config.name, model_name=model.name, model_hash=model.hash,
        columns=config.columns, device="cuda" if device == "cuda" else "cpu", dtype=dtype,
        frame_budget=config.frame_budget, settings=settings,
    )  # fmt: skip


def _exit_code(report: PlanReport, rows: int, errors: int, *, left: bool, config: RunConfig) -> int:
    if left:
        return PARTIAL
    # What a listing could not plan is held against all that it listed: it is reported again every night.
    unplanned = report.num_problems / max(1, report.recordings + report.num_problems)
    if max(errors / max(1, rows), unplanned) > config.max_errors and not config.exit_zero_on_errors:
        return ERRORS
    return COMPLETE
