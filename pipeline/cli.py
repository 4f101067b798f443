"""The command line: options from the configuration's fields, one public call, an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rich.console import Console

from pipeline import __version__, command, config
from pipeline.arguments import Parser
from pipeline.errors import UserError
from pipeline.evaluation.__main__ import main as evaluate
from pipeline.quantities import parse_bytes, parse_seconds, parse_share
from pipeline.summary import MEANINGS, USAGE, format_summary

EXIT_CODES = "exit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in sorted(MEANINGS.items()))

EXAMPLES = """examples:
  {prog} ~/recordings out/ --model path/to/checkpoint
  {prog} 's3://archive/2026/shard-{{000..099}}.tar' s3://labels/2026/ --model path/to/checkpoint --gpus 8
  {prog} manifest.jsonl out/ --model path/to/checkpoint --columns speaker:string,year:int32 --dry-run
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The `voxmill` command."""
    commands: dict[str, tuple[Callable[[list[str]], int], str]] = {
        "transcribe": (
            lambda rest: transcribe(rest, prog="voxmill transcribe"),
            "audio to a table of transcripts",
        ),
        "demo": (_demo, "transcribe the embedded corpus with the embedded checkpoint"),
        "evaluate": (evaluate, "compare a table with references: error rates, F1, calibration, equal error rate"),
        **{name: (_table(name), words) for name, words in _TABLE.items()},
    }
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] not in commands:
        _explain(arguments[:1], {name: words for name, (_, words) in commands.items()})
    call, _ = commands[arguments[0]]
    return call(arguments[1:])


def _explain(first: list[str], commands: dict[str, str]) -> NoReturn:
    """Answer what is no command: an option, a slip, or nothing."""
    width = max(map(len, commands))
    listing = "\n".join(f"  {name:<{width}}  {words}" for name, words in commands.items())
    parser = Parser(
        prog="voxmill",
        description="Turns archives of audio into tables.",
        epilog=f"commands:\n{listing}\n\nvoxmill COMMAND --help says more about one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="voxmill COMMAND ...",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"voxmill {__version__}")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of those below")
    parser.parse_args(first or ["--help"])
    near = [f"did you mean {name}?" for name in difflib.get_close_matches(first[0], commands, n=1)]
    parser.error(f"there is no command {first[0]!r} ({(*near, 'the commands are ' + ', '.join(commands))[0]})")


_TABLE = {
    "status": "what is planned, committed, pending and failing in a table",
    "verify": "whether every planned recording is in the table exactly once",
    "errors": "the recordings that ended with an error, by reason",
    "vacuum": "remove what dead attempts left behind",
}


def _table(name: str) -> Callable[[list[str]], int]:
    def call(rest: list[str]) -> int:
        from pipeline.table.__main__ import main as table_main

        return table_main([name, *rest], prog="voxmill")

    return call


def _demo(rest: list[str]) -> int:
    from pipeline.demo.__main__ import main as demo_main

    return demo_main(rest)


def transcribe(argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Parse, transcribe, print the summary, return the exit code."""
    parser = _parser(prog or os.path.basename(sys.argv[0]))
    given = vars(parser.parse_args(argv))
    *sources, output = given.pop("paths")
    try:
        from_file = config.from_yaml(given.pop("config")) if "config" in given else {}
        chosen = config.make({**from_file, **given})
    except UserError as error:
        print(error, file=sys.stderr)
        return USAGE
    return command.shown(lambda console: _transcribe(sources, output, chosen, console), debug=chosen.debug)


def _transcribe(sources: list[str], output: str, chosen: config.RunConfig, console: Console) -> int:
    from pipeline import api, display

    api.check(sources, output, chosen)
    from pipeline.run import run

    summary = run(sources, output, chosen, console=console)
    if not chosen.dry_run:
        console.print(format_summary(summary), markup=False, soft_wrap=True)
        if not console.is_terminal:
            console.print(display.closing(summary), markup=False, soft_wrap=True)
    return summary.exit_code


def _parser(prog: str) -> Parser:
    parser = Parser(
        prog=prog,
        description="Transcribe audio files, tar shards or a JSONL manifest into a table of Parquet files. A second "
        "run does only what is new, changed or left over.",
        epilog=EXAMPLES.format(prog=prog) + "\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{prog} SOURCE [SOURCE ...] OUTPUT --model DIR_OR_HUB_ID [options]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths", nargs="+", action=_Paths, metavar="SOURCE OUTPUT",
        help="file, folder, tar shard, JSONL manifest or pattern on any storage that fsspec knows; "
        "last the folder of the table",
    )  # fmt: skip
    parser.add_argument("--config", metavar="FILE", help="YAML file with options, one a line; the command line wins")
    fields = dataclasses.fields(config.RunConfig)
    for place in dict.fromkeys(field.metadata["group"] for field in fields):
        group = parser.add_argument_group(place)
        for field in fields:
            if field.metadata["group"] == place:
                _add(group, field)
    return parser


class _Paths(argparse.Action):
    """Sources and, last, the output."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        if len(values) < 2:
            parser.error(f"SOURCE and OUTPUT are needed, got only {values[0]!r}")
        setattr(namespace, self.dest, values)


def _add(group: Any, field: Any) -> None:
    spelled, words = config.flag(field.name), field.metadata["help"].replace("%", "%%")
    if config.field_type(field.name) is bool:
        group.add_argument(spelled, action="store_true", help=words)
        return
    if field.default not in (None, ""):
        words += f" (default: {_show(field)})".replace("%", "%%")
    group.add_argument(
        spelled, help=words, metavar=field.metadata["metavar"], choices=config.choices_of(field.name) or None
    )


def _show(field: Any) -> str:
    parse, value = field.metadata["parse"], field.default
    if parse is parse_seconds:
        return f"{value:g}s"
    if parse is parse_bytes:
        return f"{value / 1e6:g}MB"
    return f"{value:.0%}" if parse is parse_share else str(value)


if __name__ == "__main__":
    sys.exit(main())
