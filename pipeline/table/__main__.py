"""`python -m pipeline.table status|verify|vacuum|errors|explain OUTPUT`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.arguments import Parser
from pipeline.errors import RecordingError, StorageFault, UserError
from pipeline.quantities import parse_seconds, show_seconds
from pipeline.storage.paths import redact
from pipeline.table.explain import explain, format_explanation, undecodable
from pipeline.table.failures import failures, format_failures
from pipeline.table.presence import look_for_table
from pipeline.table.read import read_table
from pipeline.table.status import format_status, status, to_json
from pipeline.table.task import tasks
from pipeline.table.vacuum import MIN_AGE, vacuum
from pipeline.table.verify import format_verdict, verify
from pipeline.unread import may_go_unread

HOLDS, BROKEN, USAGE, PARTIAL = 0, 1, 2, 4

_CODES = """exit codes:
  0  every planned recording is in the table exactly once (vacuum, errors, explain: done)
  1  verify found a violation
  2  wrong usage: the message says what to mend
  4  units are pending, or storage failed: the same run command goes on where it ended

examples:
  {prog} status out/
  {prog} verify s3://labels/2026/
  {prog} errors out/ --task transcribe --examples 10
  {prog} explain out/ archive/2026/a.flac --clip a.wav
  {prog} vacuum out/ --min-age 2h --delete
"""


@may_go_unread()
def main(argv: Sequence[str] | None = None, *, prog: str = "python -m pipeline.table") -> int:
    """Run one command, which its messages name as `prog` and its own name; returns the exit code."""
    given, more = _parser(prog).parse_known_args(argv)
    if more:
        given.parser.error(f"unrecognized arguments: {redact(' '.join(more))}")
    try:
        look_for_table(given.output)
        code: int = given.command(given)
    except UserError as error:
        print(error, file=sys.stderr)
        return USAGE
    except pa.ArrowException as error:
        first = str(error).splitlines()[0]
        print(f"{redact(given.output)}: a file does not fit the others ({first}); verify names it", file=sys.stderr)
        return BROKEN
    except StorageFault as fault:
        print(f"{fault}. Nothing is lost; try again.", file=sys.stderr)
        return PARTIAL
    return code


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Look after the table of a run.",
        epilog=_CODES.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, words in (
        ("status", _status, "what is planned, committed, pending and failed"),
        ("verify", _verify, "whether every planned recording is in the table exactly once"),
        ("vacuum", _vacuum, "temporary files that killed processes left behind"),
        ("errors", _errors, "rows with an error, by reason, with examples"),
        ("explain", _explain, "all that is known of one recording: source, unit, attempts, what became of it"),
    ):
        sub = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
        sub.add_argument("output", metavar="OUTPUT", help="folder of the table, on any storage")
        sub.set_defaults(command=command, parser=sub)
        _OPTIONS[name](sub)
    return parser


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def _vacuum_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--delete", action="store_true", help="remove them; without it they are only listed")
    parser.add_argument(
        "--min-age",
        type=_age,
        default=MIN_AGE,
        metavar="TIME",
        help="leave younger files alone, for they may be in use (default 24h)",
    )


def _age(text: str) -> float:
    try:
        return parse_seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _errors_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", help="name of the task's folder (default: all)")
    parser.add_argument("--examples", type=int, default=3, metavar="N", help="rows shown a reason (default 3)")


def _explain_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="of the recording, as the column `id` has it")
    parser.add_argument("--clip", type=Path, metavar="FILE", help="write its audio there, as 16 kHz mono WAV")


_OPTIONS = {
    "status": _json_option,
    "verify": lambda parser: None,
    "vacuum": _vacuum_options,
    "errors": _errors_options,
    "explain": _explain_options,
}


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


def _vacuum(given: argparse.Namespace) -> int:
    found = vacuum(given.output, min_age=given.min_age, dry_run=not given.delete)
    for each in found:
        print(f"{redact(each.uri)}  {show_seconds(each.age)} old")
    count = f"{len(found):,} left-over file{'s' * (len(found) != 1)}"
    print(f"removed {count}" if given.delete else f"{count}; add --delete to remove" if found else count)
    return HOLDS


def _errors(given: argparse.Namespace) -> int:
    names = [given.task] if given.task else tasks(given.output)
    if not names:
        raise UserError(f"{redact(given.output)}: no task has been run there. Name the output folder of a run.")
    for name in names:
        table = read_table(given.output, task=name)
        print(redact(format_failures(name, failures(table, examples=max(given.examples, 0)))))
    return HOLDS


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


if __name__ == "__main__":
    sys.exit(main())
