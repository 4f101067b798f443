"""`python -m pipeline.table COMMAND OUTPUT`: read the arguments, run one command, end with its code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pyarrow as pa

from pipeline.arguments import Parser
from pipeline.documents import is_text
from pipeline.errors import StorageFault, UserError
from pipeline.leaving import leave
from pipeline.sources.names import shown
from pipeline.stopping import Stopped, stoppable
from pipeline.storage.paths import redact
from pipeline.table.commands import clean, look, publishing
from pipeline.table.commands.command import BROKEN, PARTIAL, USAGE, Command
from pipeline.table.presence import look_for_table
from pipeline.unread import may_go_unread

COMMANDS = (look.STATUS, look.VERIFY, look.ERRORS, look.EXPLAIN, publishing.PUBLISH, clean.VACUUM, clean.FORGET)

_CODES = """exit codes:
  0  every planned recording is in the table exactly once (other commands: done)
  1  verify found a violation; status, errors: a unit's file is damaged, and named
  2  wrong usage: the message says what to mend
  4  units are pending, storage failed, a signal came: the same command goes on where it ended; forget without --yes"""


@may_go_unread()
def main(argv: Sequence[str] | None = None, *, prog: str = "python -m pipeline.table") -> int:
    """Run one command, which its messages name as `prog` and its own name; returns the exit code."""
    given, more = _parser(prog).parse_known_args(argv)
    if "ids" in given and not any(word.startswith("-") for word in more):
        # Those behind an option, which argparse takes for no arguments of this one.
        given.ids, more = [*given.ids, *more], []
    if more:
        given.parser.error(f"unrecognized arguments: {redact(' '.join(more))}")
    try:
        _require_text(sys.argv[1:] if argv is None else argv)
        with stoppable():
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
        print(f"{str(fault).rstrip('.')}. Nothing is lost; try again.", file=sys.stderr)
        return PARTIAL
    except Stopped as stop:
        print(f"stopped {stop}. Nothing is lost; the same command goes on.", file=sys.stderr)
        return PARTIAL
    return code


def _require_text(words: Sequence[str]) -> None:
    """Go on where every word is text: a shell passes on whatever bytes the name of a file has.

    Raises:
        UserError: one is none.
    """
    for word in words:
        if not is_text(word):
            raise UserError(
                f"{redact(shown(word))}: is no UTF-8, as ids and the folder of a table are; "
                "write an id as the column `id` has it"
            )


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Look after the table of a run.",
        epilog=f"{_CODES}\n\n{_examples(prog, *COMMANDS)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    subs = {each.name: _add(commands, each, prog) for each in COMMANDS}
    for sub in subs.values():
        for name, other in subs.items():
            for option in other.option_names - sub.option_names:
                sub.elsewhere[option] = f"{sub.elsewhere[option]}, {name}" if option in sub.elsewhere else name
    return parser


def _add(commands: argparse._SubParsersAction[Parser], each: Command, prog: str) -> Parser:
    sub = commands.add_parser(
        each.name,
        help=each.words,
        description=f"{each.words[0].upper()}{each.words[1:]}.",
        epilog=f"{_CODES}\n\n{_examples(prog, each)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    sub.add_argument("output", metavar="OUTPUT", help="folder of the table, on any storage")
    sub.set_defaults(command=each.run, parser=sub)
    each.options(sub)
    return sub


def _examples(prog: str, *commands: Command) -> str:
    lines = [f"  {prog} {each.name} {example}" for each in commands for example in each.examples]
    return "\n".join(["examples:", *lines])


if __name__ == "__main__":
    leave(main())
