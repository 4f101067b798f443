"""Commands that only look: status, verify, errors, explain."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pipeline.errors import RecordingError, UserError
from pipeline.storage.paths import redact
from pipeline.table.commands.command import BROKEN, HOLDS, PARTIAL, Command
from pipeline.table.explain import explain, format_explanation, undecodable
from pipeline.table.failures import failures, format_failures
from pipeline.table.read import read_table
from pipeline.table.status import format_status, status, to_json
from pipeline.table.task import tasks
from pipeline.table.verify import format_verdict, verify


def _status_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _status(given: argparse.Namespace) -> int:
    found = status(given.output)
    told = json.dumps(to_json(found), indent=2, ensure_ascii=False) if given.json else format_status(found)
    print(redact(told))
    return HOLDS if found.complete else PARTIAL


def _verify(given: argparse.Namespace) -> int:
    verdict = verify(given.output)
    print(format_verdict(given.output, verdict))
    if not verdict.holds:
        return BROKEN
    return HOLDS if verdict.complete else PARTIAL


def _errors_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", help="name of the task's folder (default: all)")
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="rows shown a reason (default 3)")


def _errors(given: argparse.Namespace) -> int:
    names = [given.task] if given.task else tasks(given.output)
    if not names:
        raise UserError(f"{redact(given.output)}: no task has been run there. Name the output folder of a run.")
    for name in names:
        table = read_table(given.output, task=name)
        print(redact(format_failures(name, failures(table, examples=max(given.examples, 0)))))
    return HOLDS


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="of the recording, as the column `id` has it")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="write its audio there, as 16 kHz mono WAV")


def _explain(given: argparse.Namespace) -> int:
    found = explain(given.output, given.id)
    print(redact(format_explanation(found)))
    if given.clip is None:
        return HOLDS
    from pipeline.table.clip import clip

    if reason := undecodable(found[-1]):
        raise UserError(f"{given.clip}: not written, for decoding this recording {reason}")
    try:
        heard = clip(found[-1].recording)
    except RecordingError as error:
        raise UserError(f"{given.clip}: not written ({error})") from error
    try:
        given.clip.write_bytes(heard)
    except OSError as error:
        raise UserError(f"{given.clip}: cannot be written ({error.strerror})") from error
    print(f"  clip       {given.clip}")
    return HOLDS


STATUS = Command("status", "what is planned, committed, pending and failed", _status, _status_options)
VERIFY = Command("verify", "whether every planned recording is in the table exactly once", _verify)
ERRORS = Command("errors", "rows with an error, by reason, with examples", _errors, _errors_options)
EXPLAIN = Command(
    "explain",
    "all that is known of one recording: source, unit, attempts, what became of it",
    _explain,
    _explain_options,
)
