"""Commands that only look: status, verify, errors, explain."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.config import RunConfig
from pipeline.errors import REASONS, RecordingError, UserError
from pipeline.quantities import counted
from pipeline.storage.paths import redact
from pipeline.table.again import failed, try_again
from pipeline.table.commands.command import BROKEN, HOLDS, PARTIAL, Command, whole
from pipeline.table.damage import beside_damage
from pipeline.table.exclusive import exclusive
from pipeline.table.explain import explain, format_explanation, undecodable
from pipeline.table.failures import failures, format_failures
from pipeline.table.status import format_status, status, to_json
from pipeline.table.task import folder_name, tasks
from pipeline.table.verify import QUICK, WHOLE, format_verdict, verify


def _status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _status(given: argparse.Namespace) -> int:
    found = status(given.output)
    told = json.dumps(to_json(found), indent=2, ensure_ascii=False) if given.json else format_status(found)
    print(redact(told))
    if found.broken:
        return BROKEN
    return HOLDS if found.complete else PARTIAL


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick",
        action="store_true",
        help="read footers instead of whole files: whether each is there with as many rows as planned, not whether its "
        "pages are whole or which recordings its rows are of",
    )


def _verify(given: argparse.Namespace) -> int:
    verdict = verify(given.output, look=QUICK if given.quick else WHOLE)
    print(format_verdict(given.output, verdict) + ("\nonly footers were read" if given.quick else ""))
    if not verdict.holds:
        return BROKEN
    return HOLDS if verdict.complete else PARTIAL


def _errors_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", help="name of the task's folder (default: all)")
    parser.add_argument("--examples", type=whole, default=3, metavar="N", help="rows shown a reason (default 3)")
    again = parser.add_argument_group("to try them again")
    again.add_argument(
        "--again",
        action="store_true",
        help="plan these recordings again, each for the tasks in which it has failed: the next run of those tasks does "
        "them, and readers see the old row until then",
    )
    again.add_argument("ids", nargs="*", default=[], metavar="ID", help="only these recordings")
    again.add_argument(
        "--reason", action="append", default=[], metavar="STAGE.TYPE", help="only rows with this error; repeatable"
    )
    again.add_argument("--dry-run", action="store_true", help="only count them")


def _errors(given: argparse.Namespace) -> int:
    names = [folder_name(given.task)] if given.task else tasks(given.output)
    if not names:
        raise UserError(f"{redact(given.output)}: no task has been run there. Name the output folder of a run.")
    if given.again:
        return _again(given, names)
    if given.ids or given.reason or given.dry_run:
        raise UserError("ID, --reason and --dry-run mean what is tried again; add --again")
    damaged: list[str] = []
    for name in names:
        found, more = beside_damage(given.output, name, lambda table: failures(table, examples=given.examples))
        print(redact(format_failures(name, found)))
        damaged += more
    for each in damaged:
        print(f"damaged   {each}")
    return BROKEN if damaged else HOLDS


def _again(given: argparse.Namespace, names: Sequence[str]) -> int:
    found = failed(given.output, names, reasons=set(given.reason), ids=set(given.ids))
    unseen = _unseen(given, found.seen)
    for task, reasons in found.reasons.items():
        for reason, count in reasons.items():
            print(f"{task}: {reason}  {count:,}")
    for line in unseen:
        print(line)
    if given.dry_run or not any(found.rows.values()):
        print("nothing has been planned")
        return HOLDS
    with exclusive(given.output, "errors"):
        written = try_again(given.output, found)
    total = len({id for rows in found.rows.values() for _, id in rows})
    more = f"; {len(written.stale):,} changed since, left to the run that lists them next" if written.stale else ""
    more += "; the others are planned again and pending already" if written.rows + len(written.stale) < total else ""
    units = counted(written.units, "unit")
    print(f"planned {counted(written.rows, 'recording')} again, in {units}{more}. The next run does them.")
    return HOLDS


def _unseen(given: argparse.Namespace, seen: Collection[str]) -> list[str]:
    """Line about the reasons asked for that no row has: a command of every night names what may not be there.

    Raises:
        UserError: of one no row can ever be, so it is misspelt.
    """
    unseen = sorted(set(given.reason).difference(seen))
    there = f"; there are {', '.join(sorted(seen))}" if seen else ""
    if wrong := [reason for reason in unseen if reason not in REASONS]:
        raise UserError(
            f"{redact(given.output)}: nothing was planned, for no row has the error {', '.join(wrong)}, nor can one "
            f"have it{there}."
        )
    return [f"no row has the error {', '.join(unseen)}{there}"] if unseen else []


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="of the recording, as the column `id` has it")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="write its audio there, as 16 kHz mono WAV")


def _explain(given: argparse.Namespace) -> int:
    found = explain(given.output, given.id)
    print(redact(format_explanation(found)))
    if given.clip is None:
        return HOLDS
    from pipeline.isolation import Isolated, Limits
    from pipeline.table.clip import clip

    if found[-1].forgotten:
        raise UserError(f"{given.clip}: not written, for this recording is forgotten: nobody may hear it")
    if reason := undecodable(found[-1]):
        raise UserError(f"{given.clip}: not written, for decoding this recording {reason}")
    try:
        with Isolated(Limits(RunConfig.recording_timeout, RunConfig.recording_memory)) as decode:
            heard = clip(found[-1].recording, decode)
    except RecordingError as error:
        raise UserError(f"{given.clip}: not written ({error})") from error
    try:
        given.clip.write_bytes(heard)
    except OSError as error:
        raise UserError(f"{given.clip}: cannot be written ({error.strerror})") from error
    print(f"  clip       {given.clip}")
    return HOLDS


STATUS = Command("status", "what is planned, committed, pending and failed", _status, _status_options)
VERIFY = Command(
    "verify",
    "whether every planned recording is in the table exactly once",
    _verify,
    _verify_options,
    ("s3://labels/2026/",),
)
ERRORS = Command(
    "errors",
    "rows with an error, by reason, with examples; or plan them again",
    _errors,
    _errors_options,
    ("out/ --task transcribe --examples 10", "out/ --again --reason read.missing"),
)
EXPLAIN = Command(
    "explain",
    "all that is known of one recording: source, unit, what became of it, the runs in which its unit failed",
    _explain,
    _explain_options,
    ("out/ archive/2026/a.flac --clip a.wav",),
)
