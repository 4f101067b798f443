"""One run from sources to table: plan, declare, work, write down. The same for the command line and for Python."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from rich.console import Console

from pipeline import choices, command, documents, options, plan, stopping, table
from pipeline.asked import Asked
from pipeline.choices import Choice
from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.display import listing
from pipeline.errors import UserError
from pipeline.hanging import storage_watched
from pipeline.isolation import Lengths, Limits
from pipeline.job import Work
from pipeline.noise import console_on
from pipeline.outcome import Outcome, outcome, standing
from pipeline.overlap import leased
from pipeline.plan import PlanReport, UnitRef
from pipeline.plan import layout as plan_layout
from pipeline.quantities import counted
from pipeline.sources import probe
from pipeline.sources.names import shown
from pipeline.storage.paths import canonical, redact
from pipeline.storage.put import probe_folder, probe_write
from pipeline.storage.secrets import refuse_secrets
from pipeline.summary import COMPLETE, ERRORS, PARTIAL, RunSummary, TaskTotals
from pipeline.table import Standing, layout
from pipeline.table.lease import PATIENCE
from pipeline.versions import versions
from pipeline.working import do, no_work

LAST_WORDS: Seconds = 60.0
"""In which storage has the record of a run that a fault ended."""


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
    for name, text in (
        *(("", uri) for uri in (*sources, output)),
        *((f"{name}: ", text) for name, text in options.texts(config)),
    ):
        _refuse_bytes(text, name)
        refuse_secrets(text, name)
    asked = Asked(
        name=layout.new_run(started),
        kind=kind,
        sources=sources,
        output=canonical(output),
        shown=redact(output),
        config=config,
        choices=(),
        console=console or console_on(sys.stderr),
        started=started,
        begin=begin,
    )
    with storage_watched(asked, "reading the checkpoint"):
        asked = replace(asked, choices=choices.choose(kind, config))
    with storage_watched(asked, "looking for the sources"):
        probe(sources)
    if config.dry_run:
        return _foretold(asked)
    with storage_watched(asked, "looking at the output"):
        conditional = _probe_output(asked)
        _compare(asked)
    asked = replace(asked, admitted=True)
    with leased(asked, conditional=conditional), _written_down(asked):
        with storage_watched(asked, "planning"):
            report, plan_seconds = _plan(asked)
        for line in plan.format_absent(report):
            asked.say(line)
        asked = replace(asked, moves=report.moves)
        summary = _label(asked, report, plan_seconds)
        with storage_watched(asked, "writing the record of the run"):
            asked.write_down(summary.to_json())
    return summary


def _refuse_bytes(text: str, name: str) -> None:
    if not documents.is_text(text):
        # No id, no plan and no record holds it.
        raise UserError(f"{name}{shown(text)}: this is not UTF-8; rename it, or name the folder above it")


def _foretold(asked: Asked) -> RunSummary:
    """What a run would do."""
    with storage_watched(asked, "planning"):
        _compare(asked)
        report, _ = _plan(asked)
    asked.say(plan.format_report(report))
    with storage_watched(asked, "looking for what is committed"):
        _tell_pending(asked)
    return RunSummary(**asked.facts(), finished=_now(), exit_code=COMPLETE, new_recordings=report.planned)


@contextlib.contextmanager
def _written_down(asked: Asked) -> Iterator[None]:
    """Leave a record of what ended a run before its summary, for whoever asks for the status in the morning."""
    try:
        yield
    except BaseException as error:
        patience = PATIENCE if stopping.asked() else LAST_WORDS
        asked.write_end(command.code_of(error), stopped=command.told(error), patience=patience)
        raise


def _tell_pending(asked: Asked) -> None:
    """What each task lacks of what is planned already."""
    units = plan.units(asked.output)
    for choice in asked.wanted if units else ():
        left = len(table.pending(asked.output, choice.name, units))
        asked.say(f"{choice.name}: {left:,} of {counted(len(units), 'planned unit')} to do")


def _label(asked: Asked, report: PlanReport, plan_seconds: float) -> RunSummary:
    with storage_watched(asked, "looking for what is committed"):
        planned = plan.read_planned(asked.output)
        before = standing(asked.output, [each.name for each in asked.wanted], planned.units)
    lacking = _lacking(planned.units, before)
    for line in plan.format_moves(report) if lacking else ():
        asked.say(line)
    done = do(asked, planned, lacking) if lacking else no_work()
    with storage_watched(asked, "counting what is committed"):
        after = outcome(asked.output, asked.name, planned, before, done.tally if lacking else None)
    left, totals = after.pending, [_totals(each, after) for each in asked.wanted]
    return RunSummary(
        **asked.facts(),
        finished=_now(),
        exit_code=_exit_code(report, totals, left=any(left.values()), config=asked.config),
        versions=versions(),
        pools=done.pools,
        worker_deaths=dict(done.deaths),
        tasks=tuple(totals),
        planned_recordings=planned.recordings,
        planned_units=len(planned.units),
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


def _probe_output(asked: Asked) -> bool:
    """Check that the output can be written before any work starts; say what its storage cannot promise, and give it."""
    conditional = probe_write(asked.output).conditional
    if not conditional:
        asked.say(
            f"{asked.shown}: this storage ignores conditional puts (If-None-Match), so no run starts beside another; "
            "a unit that two workers finish at the same time is written twice, the last one stays"
        )
    probe_folder(plan_layout.plan_folder(asked.output))
    probe_folder(layout.runs_folder(asked.output))
    for choice in asked.wanted:
        probe_folder(layout.task_folder(asked.output, choice.name))
    return conditional


def _plan(asked: Asked) -> tuple[PlanReport, float]:
    begin, config = time.monotonic(), asked.config
    limits = Limits(config.recording_timeout, config.recording_memory)
    with listing(asked.console, every=config.log_every) as show, Lengths(limits) as lengths:
        report = plan.extend(
            asked.sources,
            asked.output,
            corpus=config.corpus,
            unit_seconds=config.unit_seconds,
            unit_bytes=config.unit_bytes,
            on_progress=show,
            exact=lengths.exact,
            dry_run=config.dry_run,
        )
    return report, time.monotonic() - begin


def _compare(asked: Asked) -> None:
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


def _exit_code(report: PlanReport, totals: Sequence[TaskTotals], *, left: bool, config: RunConfig) -> int:
    if left:
        return PARTIAL
    # What a listing could not plan is held against all that it listed: it is reported again every night.
    listed = report.recordings + report.absent + report.num_problems
    unplanned = report.num_problems / max(1, listed)
    failed = max(each.errors / max(1, each.rows) for each in totals)
    if max(failed, unplanned) > config.max_errors and not config.exit_zero_on_errors:
        return ERRORS
    return COMPLETE
