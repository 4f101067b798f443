"""The command line: options from the configuration's fields, one public call, an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from rich.console import Console

from pipeline import __version__, command, config
from pipeline.arguments import Parser
from pipeline.errors import UserError
from pipeline.evaluation.__main__ import main as evaluate
from pipeline.fields import add_options, parse_job, with_file
from pipeline.leaving import leave
from pipeline.options import flag
from pipeline.summary import MEANINGS, USAGE, format_summary
from pipeline.unread import may_go_unread

EXIT_CODES = "exit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in sorted(MEANINGS.items()))


def script() -> NoReturn:
    """The `voxmill` command as a process."""
    leave(main())


@dataclass(frozen=True, slots=True)
class Job:
    """One of the jobs, as the command line shows it."""

    kind: str
    command: str
    """After `voxmill`."""
    listed: str
    does: str
    models: str
    """What names its checkpoints in a command."""
    more: str = ""
    """Options of the last example."""


JOBS = {
    job.kind: job
    for job in (
        Job("transcribe", "transcribe", "audio to a table of transcripts", "Transcribe", "--model path/to/checkpoint"),
        Job("classify", "classify", "a class for every recording", "Classify", "--model path/to/checkpoint", "--top 3"),
        Job(
            "frames", "label-frames", "where labels hold, frame by frame", "Label the frames of",
            "--model path/to/checkpoint", "--threshold 60% --min-duration 200ms",
        ),
        Job(
            "embed", "embed", "a vector for every stretch of speech, and for every recording",
            "Embed the speakers of", "--model path/to/checkpoint --speech path/to/frames", "--min-segment 2s",
        ),
        Job(
            "label", "label", "several of these in one pass", "Do several tasks in one pass over",
            "--task transcribe=path/to/checkpoint --task classify=path/to/other",
        ),
    )
}  # fmt: skip
"""By the kind of task."""

EXAMPLES = """examples:
  {prog} ~/recordings out/ {models}
  {prog} 's3://archive/2026/shard-{{000..099}}.tar' s3://labels/2026/ {models} --gpus 8
  {prog} manifest.jsonl out/ {models} {more}--columns speaker:string,year:int32 --dry-run
"""


@may_go_unread()
def main(argv: Sequence[str] | None = None) -> int:
    """The `voxmill` command."""
    commands: dict[str, tuple[Callable[[list[str]], int], str]] = {
        **{job.command: (_job(job), job.listed) for job in JOBS.values()},
        "finetune": (_finetune, "train a model on labelled audio"),
        "demo": (_demo, "run every task on the embedded corpus with the embedded checkpoints"),
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
    "explain": "all that a table knows of one recording; its audio as WAV",
    "publish": "few large Parquet files with the newest row of each recording, kept up to date",
    "vacuum": "remove what dead attempts left behind, and superseded rows",
    "forget": "take all that a table holds of a recording out of it, for good",
}


def _table(name: str) -> Callable[[list[str]], int]:
    def call(rest: list[str]) -> int:
        from pipeline.table.__main__ import main as table_main

        return table_main([name, *rest], prog="voxmill")

    return call


def _demo(rest: list[str]) -> int:
    from pipeline.demo.__main__ import main as demo_main

    return demo_main(rest)


def _finetune(rest: list[str]) -> int:
    from pipeline.tuning import main as tuning_main

    return tuning_main(rest, prog="voxmill finetune")


def _job(job: Job) -> Callable[[list[str]], int]:
    return lambda rest: run_job(job.kind, rest, prog=f"voxmill {job.command}")


@may_go_unread()
def run_job(kind: str, argv: Sequence[str] | None = None, *, prog: str | None = None) -> int:
    """Parse, run one of `JOBS`, print the summary, return the exit code."""
    parser = _parser(JOBS[kind], prog or os.path.basename(sys.argv[0]))
    sources, output, given = parse_job(parser, argv)
    try:
        chosen = config.make(with_file(config.RunConfig, given), kind=kind)
    except UserError as error:
        print(error, file=sys.stderr)
        return USAGE
    return command.shown(lambda console: _run(kind, sources, output, chosen, console), debug=chosen.debug)


def _run(kind: str, sources: list[str], output: str, chosen: config.RunConfig, console: Console) -> int:
    from pipeline import api, display

    api.check(kind, sources, output, chosen)
    from pipeline.run import run

    summary = run(sources, output, chosen, kind=kind, console=console)
    if not chosen.dry_run:
        console.print(format_summary(summary), markup=False, soft_wrap=True)
        if not console.is_terminal:
            console.print(display.closing(summary), markup=False, soft_wrap=True)
    return summary.exit_code


def _parser(job: Job, prog: str) -> Parser:
    more = f"{job.more} " if job.more else ""
    parser = Parser(
        prog=prog,
        description=f"{job.does} audio files, tar shards or a JSONL manifest, into a table of Parquet files. A second "
        "run does only what is new, changed or left over.",
        epilog=EXAMPLES.format(prog=prog, models=job.models, more=more) + "\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=f"{prog} SOURCE [SOURCE ...] OUTPUT {_NEEDED.get(job.kind, '--model DIR_OR_HUB_ID')} [options]",
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths", nargs="+", metavar="SOURCE OUTPUT",
        help="file, folder, tar shard, JSONL manifest or pattern on any storage that fsspec knows; "
        "last the folder of the table",
    )  # fmt: skip
    fields = dataclasses.fields(config.RunConfig)
    served = {f.name: f.metadata["of"] or tuple(JOBS) for f in fields}
    parser.elsewhere = {flag(name): _commands(kinds) for name, kinds in served.items() if job.kind not in kinds}
    add_options(parser, config.RunConfig, [f for f in fields if job.kind in served[f.name]])
    return parser


def _commands(kinds: Sequence[str]) -> str:
    return ", ".join(JOBS[kind].command for kind in kinds)


_NEEDED = {"label": "--task KIND=MODEL [--task KIND=MODEL ...]"}


if __name__ == "__main__":
    script()
