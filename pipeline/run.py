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

from rich.console import Console

from pipeline import alone, choices, flow, plan, table
from pipeline.choices import Choice
from pipeline.config import RunConfig
from pipeline.display import listing, showing, waiting
from pipeline.errors import StorageFault, UserError
from pipeline.job import Job, Work
from pipeline.outcome import Outcome, outcome, standing
from pipeline.placement import choose_dtype
from pipeline.plan import PlanReport, UnitRef
from pipeline.quantities import counted
from pipeline.receipts import Receipt
from pipeline.sources import probe
from pipeline.stopping import Stopped, stoppable
from pipeline.storage.paths import canonical, redact
from pipeline.storage.put import probe_write
from pipeline.summary import COMPLETE, ERRORS, PARTIAL, RunSummary, TaskTotals
from pipeline.table import Standing
from pipeline.table.lease import Lease, Sign, first, held, this_host
from pipeline.tally import Tally
from pipeline.versions import versions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run: what was asked, and what every step of it needs to know."""

    name: str
    kind: str
    """What the job does: a kind of task, or `label`."""
    sources: Sequence[str]
    output: str
    shown: str
    """The output as the user wrote it, without secrets."""
    config: RunConfig
    choices: tuple[Choice, ...]
    console: Console
    started: datetime
    begin: float
    """Monotonic seconds."""

    @property
    def wanted(self) -> tuple[Choice, ...]:
        """The tasks whose rows are wanted."""
        return tuple(each for each in self.choices if each.job.committed)

    def beside(self, choice: Choice) -> str:
        """Option that puts other labels of a task beside those that are there, `{}` for their name."""
        return f"--task {choice.job.kind}:{{}}=MODEL" if self.kind == "label" else "--name {}"

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the run whatever became of it."""
        first = self.wanted[0]
        return {
            "run": self.name,
            "output": self.shown,
            "task": self.kind,
            "name": first.name,
            "sources": tuple(map(redact, self.sources)),
            "model": {"name": first.checkpoint.name, "hash": first.checkpoint.hash},
            "config": dataclasses.asdict(self.config),
            "started": self.started.isoformat(),
        }


def run(
    sources: Sequence[str],
    output: str,
    config: RunConfig,
    *,
    kind: str = "transcribe",
    console: Console | None = None,
) -> RunSummary:
    """Plan what is new, do what is pending, and say what happened.

    Args:
        sources: files, folders, tar shards, manifests or patterns.
        output: folder of the table.
        config: the options.
        kind: what to do: a kind of task, or `label` for all that `config.task` names.
        console: where progress is shown; default standard error.

    Raises:
        UserError: a mistake of the user; nothing was committed by this run.
        StorageFault: storage failed while planning; nothing was planned.
    """
    started, begin = datetime.now(UTC), time.monotonic()
    models = [config.model, config.speech, *(text.partition("=")[2] for text in config.task)]
    _refuse_credentials([*sources, output, *models])
    asked = _Run(
        name=f"{started:%Y%m%dT%H%M%S}.{started.microsecond // 1000:03d}-{secrets.token_hex(2)}",
        kind=kind,
        sources=sources,
        output=canonical(output),
        shown=redact(output),
        config=config,
        choices=choices.choose(kind, config),
        console=console or Console(stderr=True),
        started=started,
        begin=begin,
    )
    probe(sources)
    if not config.dry_run:
        _probe_output(asked)
    _compare(asked)
    if config.dry_run:
        report, _ = _plan(asked)
        asked.say(plan.format_report(report))
        _tell_pending(asked)
        return RunSummary(**asked.facts(), finished=_now(), exit_code=COMPLETE, new_recordings=report.planned)
    with _leased(asked):
        report, plan_seconds = _plan(asked)
        summary = _label(asked, report, plan_seconds)
        _write_down(asked, summary.to_json())
    return summary


@contextlib.contextmanager
def _leased(asked: _Run) -> Generator[None]:
    """Show that this run is at work, and say which others are."""
    host, process = this_host()
    mine = Lease(asked.name, host, process, asked.started.isoformat(timespec="seconds"))
    with held(asked.output, mine) as others:
        if asked.config.overlap == "refuse" and (earlier := first(mine, others)):
            raise UserError(
                f"{asked.shown}: {_told(earlier)}, and --overlap refuse does not run beside it. "
                "Wait for its end, or stop it"
            )
        for each in others:
            asked.say(
                f"{asked.shown}: {_told(each)}. Both do no harm: no unit is committed twice, some may be done twice"
            )
        yield


def _told(other: Sign) -> str:
    lease = other.lease
    return redact(f"run {lease.run} is at work, since {lease.started}, as process {lease.process} on {lease.host}")


def _tell_pending(asked: _Run) -> None:
    """What each task lacks of what is planned already."""
    units = plan.units(asked.output)
    for choice in asked.wanted if units else ():
        left = len(table.pending(asked.output, choice.name, units))
        asked.say(f"{choice.name}: {left:,} of {counted(len(units), 'unit')} planned already to do")


def _label(asked: _Run, report: PlanReport, plan_seconds: float) -> RunSummary:
    units = plan.units(asked.output)
    before = standing(asked.output, [each.name for each in asked.wanted], units)
    lacking = _lacking(units, before)
    done = _work(asked, lacking) if lacking else _Done(_no_tally())
    after = outcome(asked.output, units, before, done.tally if lacking else None)
    left, totals = after.pending, [_totals(each, after) for each in asked.wanted]
    return RunSummary(
        **asked.facts(),
        finished=_now(),
        exit_code=_exit_code(report, totals, left=any(left.values()), config=asked.config),
        versions=versions(),
        pools=done.pools,
        worker_deaths=dict(done.deaths),
        tasks=tuple(totals),
        planned_recordings=sum(unit.count for unit in units),
        planned_units=len(units),
        new_recordings=report.planned,
        pending_units=len({unit.name for names in left.values() for unit in names}),
        table_rows=sum(each.rows for each in totals),
        table_errors=sum(each.errors for each in totals),
        damaged=after.damaged,
        problems=tuple(redact(f"{each.uri}: {each.message}") for each in report.problems),
        plan_seconds=plan_seconds,
        stopped=done.stopped or after.trouble,
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


def _compare(asked: _Run) -> None:
    """Check before any work that what is there is whole, and that the new labels may stand beside it."""
    table.require_plan(asked.output)
    for choice in asked.wanted:
        record = choice.record(asked.config)
        before = table.compare(asked.output, choice.name, record, option=asked.beside(choice))
        if before is None or before.schema is None or record.schema is None:
            continue
        new = [column for column in record.schema.names if column not in before.schema.names]
        if new:
            asked.say(
                f"{', '.join(new)}: new in this table, so empty in rows that are there; "
                f"{asked.beside(choice).format('NAME')} makes them anew"
            )


def _lacking(units: Sequence[UnitRef], before: Mapping[str, Standing]) -> list[Work]:
    """Each unit that lacks tasks, in plan order, and which."""
    names = {name: {unit.name for unit in each.pending} for name, each in before.items()}
    work = [Work(unit, tuple(name for name in names if unit.name in names[name])) for unit in units]
    return [each for each in work if each.tasks]


def _totals(choice: Choice, after: Outcome) -> TaskTotals:
    totals = after.totals[choice.name]
    return TaskTotals(
        kind=choice.job.kind,
        name=choice.name,
        model={"name": choice.checkpoint.name, "hash": choice.checkpoint.hash},
        pending_units=len(after.pending[choice.name]),
        rows=totals.rows,
        errors=totals.errors,
    )


@dataclass(frozen=True, slots=True)
class _Done:
    """What the work came to."""

    tally: Tally
    pools: str = ""
    stopped: str = ""
    deaths: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Stage -> workers that died."""


def _no_tally() -> Tally:
    return Tally(recordings=0, audio_seconds=0.0, workers={}, clock=lambda: 0.0)


def _work(asked: _Run, lacking: Sequence[Work]) -> _Done:
    """Do what is lacking."""
    stopped = ""
    with _workers(asked, lacking) as (receipts, workers, pools, deaths):
        # Only now is it known that there are workers to make such labels.
        for choice in asked.wanted:
            table.declare(asked.output, choice.name, choice.record(asked.config), option=asked.beside(choice))
        _write_down(asked, {**asked.facts(), "state": "running", "lease": True})
        tally = Tally(
            recordings=sum(work.unit.count for work in lacking),
            audio_seconds=sum(work.unit.seconds for work in lacking),
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
    return _Done(tally, pools, stopped, dict(deaths))


@contextlib.contextmanager
def _workers(
    asked: _Run, lacking: Sequence[Work]
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
    if alone.fits(lacking, config):
        device = alone.device(config)
        asked.say(f"one recording, so without a cluster  ·  {device}  ·  model {models}")
        job = _job(asked, needed, device)
        yield alone.receipts(job, lacking, checkpoints, say=asked.say), alone.WORKERS, "this process", {}
        return
    from pipeline.engine import session

    sizes = choices.model_sizes(needed)
    with contextlib.ExitStack() as stack:
        with waiting(asked.console, "joining the cluster" if config.address else "starting Ray"):
            opened = stack.enter_context(session.opened(config, sizes=sizes, units=lacking, say=asked.say))
        asked.say(f"{opened.describe()}  ·  model {models}")
        job = _job(asked, needed, opened.device)
        yield opened.receipts(job, lacking, checkpoints), opened.workers, opened.pools.describe(), opened.deaths


def _job(asked: _Run, needed: Sequence[Choice], device: str) -> Job:
    config = asked.config
    dtype = choose_dtype(config, device)
    settings = flow.Settings.of(
        window=config.window, context=config.context, half=dtype in ("bfloat16", "float16"), features=config.features
    )
    return Job(
        run=asked.name, output=asked.output, tasks=tuple(each.job for each in needed),
        device="cuda" if device == "cuda" else "cpu", dtype=dtype, settings=settings, config=config,
    )  # fmt: skip


def _exit_code(report: PlanReport, totals: Sequence[TaskTotals], *, left: bool, config: RunConfig) -> int:
    if left:
        return PARTIAL
    # What a listing could not plan is held against all that it listed: it is reported again every night.
    unplanned = report.num_problems / max(1, report.recordings + report.num_problems)
    failed = max(each.errors / max(1, each.rows) for each in totals)
    if max(failed, unplanned) > config.max_errors and not config.exit_zero_on_errors:
        return ERRORS
    return COMPLETE
