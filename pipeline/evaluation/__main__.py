"""`voxmill evaluate TABLE`, which is also `jobs/evaluate.py`: parse, compare, write, print, exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from pipeline import command
from pipeline.arguments import Parser
from pipeline.fields import add_options, with_file
from pipeline.leaving import leave
from pipeline.summary import COMPLETE
from pipeline.unread import may_go_unread

SCORES_FOLDER = "_scores"
"""Below the table; no task is called like this."""

_EPILOG = """what is compared, where nothing else is named:
  transcribe  text with the column reference
  classify    label with the metadata's field label, or the column reference
  frames      frames with the metadata's field frames: [{{"start": 0.5, "end": 1.2, "label": "speech"}}, ...]
  embed       all pairs of embeddings; the metadata's field speaker says which are of one speaker

examples:
  {prog} out/
  {prog} out/ --task classify --label-field keyword --out scores/
  {prog} out/ --task embed --trials trials.txt

exit codes:
  0  scored
  1  failure: a bug
  2  wrong usage: the message says what to mend, such as a table without references
  4  storage failed, or the command was stopped
"""


@may_go_unread()
def main(argv: Sequence[str] | None = None, *, prog: str = "voxmill evaluate") -> int:
    """Score a table; returns the exit code."""
    given = vars(_parser(prog).parse_args(argv))
    output, folder, debug = given.pop("output"), given.pop("out", None), given.pop("debug", False)
    return command.shown(lambda console: _show(output, folder, given, console), debug=debug)


def _show(output: str, folder: str | None, chosen: dict[str, Any], console: Console) -> int:
    # Arrow takes a second to import; --help does not wait for it.
    from pipeline.evaluation.options import Options
    from pipeline.evaluation.run import evaluate
    from pipeline.storage.paths import join, redact

    found = evaluate(output, **with_file(Options, chosen))
    place = folder or join(output, SCORES_FOLDER, found.name)
    # Before anything is printed: who reads the page may stop in the middle.
    names = found.write(place)
    where = f"scores  {redact(place)}: {', '.join(names)}"
    console.print(f"{found.markdown()}\n{where}", markup=False, emoji=False, soft_wrap=True)
    return COMPLETE


def _parser(prog: str) -> Parser:
    # Here for numpy, which other commands' --help does without.
    from pipeline.evaluation.options import Options

    parser = Parser(
        prog=prog,
        description="Compare the rows of a table with their references: word errors, labels, frames or speakers, "
        "whichever the table holds. Prints a page of Markdown, and writes it with scores.json and pictures.",
        epilog=_EPILOG.format(prog=prog),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("output", metavar="TABLE", help="output folder of a run, on any storage")
    add("--out", metavar="DIR", help=f"folder for the scores (default: TABLE/{SCORES_FOLDER}/NAME)")
    add("--debug", action="store_true", help="show tracebacks and the libraries' own messages")
    add_options(parser, Options)
    return parser


if __name__ == "__main__":
    leave(main(prog="python -m pipeline.evaluation"))
