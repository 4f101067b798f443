"""The demonstration: every task in one pass over the embedded corpus, then what came out, side by side."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import __version__, command, config, demo, scoring
from pipeline.arguments import Parser
from pipeline.errors import UserError
from pipeline.quantities import show_seconds
from pipeline.summary import RunSummary
from pipeline.unread import may_go_unread

OUTPUT = "demo-output"
MARK = "_DEMO"
"""File that says that a folder may be emptied by the next demo."""


@may_go_unread()
def main(argv: Sequence[str] = ()) -> int:
    """Label the embedded corpus into `demo-output`, all tasks in one pass, and show what came out."""
    parser = Parser(prog="voxmill demo", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--output", default=OUTPUT, help=f"folder of the table, emptied first (default: {OUTPUT})")
    parser.add_argument("--num-cpus", default=None, help="logical CPUs of the local Ray")
    parser.add_argument("--debug", action="store_true", help="show tracebacks and the libraries' own messages")
    given = parser.parse_args(argv)
    return command.shown(lambda console: _show(given.output, given.num_cpus, console), debug=given.debug)


def _show(output: str, num_cpus: str | None, console: Console) -> int:
    tasks = [f"{kind}={demo.checkpoint_folder(name)}" for kind, name in demo.CHECKPOINTS.items()]
    options = config.make({"task": tasks, "corpus": "demo", "num_cpus": num_cpus}, kind="label")
    _empty(Path(output))
    console.print(f"Voxmill {__version__}  ·  the embedded corpus of spoken digits\n")
    from pipeline.run import run

    summary = run([str(demo.corpus_folder())], output, options, kind="label", console=console)
    rows = together(output)
    console.print()
    _side_by_side(rows, console)
    _closing(rows, summary, output, console)
    return summary.exit_code


def together(output: str) -> pd.DataFrame:
    """One row a recording: what each task says of it, and the speaker whose other recordings sound most like it."""
    from pipeline.table import read_table

    tables = {kind: read_table(output, task=kind).to_pandas().set_index("id") for kind in demo.CHECKPOINTS}
    rows = tables["transcribe"].sort_index()
    frames = tables["frames"].frames
    spoken = frames.map(lambda spans: sum(each["end"] - each["start"] for each in spans), na_action="ignore")
    speakers = rows.metadata.map(lambda text: json.loads(text)["speaker"], na_action="ignore")
    return rows.assign(
        keyword=tables["classify"].label,
        speech=spoken / rows.duration,
        speaker=speakers,
        nearest=nearest_speakers(tables["embed"].embedding.reindex(rows.index), speakers),
    )


def nearest_speakers(embeddings: pd.Series, speakers: pd.Series) -> list[str | None]:
    """For each recording the speaker whose other recordings' mean has the largest cosine with it."""
    known = embeddings.notna() & speakers.notna()
    names, vectors = speakers[known].to_numpy(), np.stack(embeddings[known].to_list())
    found = {}
    for number, index in enumerate(embeddings.index[known]):
        others = np.arange(len(names)) != number
        cosines = {}
        for name in np.unique(names[others]):
            mean = vectors[others & (names == name)].mean(axis=0)
            cosines[name] = vectors[number] @ mean / np.linalg.norm(mean)
        found[index] = max(cosines, key=lambda name: cosines[name])
    return [found.get(index) for index in embeddings.index]


def _empty(folder: Path) -> None:
    """Start from nothing, but never delete what an earlier demo did not make."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder with --output")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise UserError(f"{folder}: is not empty, and no demo made it; name another with --output")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("This folder is made by the demo, and emptied by the next one.\n")


def _side_by_side(rows: pd.DataFrame, console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "reference", "transcript", "keyword", "speech", "nearest speaker"):
        table.add_column(name, no_wrap=name == "id", overflow="fold", style=None)
    for row in rows.itertuples():
        if row.error is not None:
            message = f"{row.error['stage']}: {row.error['message']}"
            table.add_row(row.key, "", Text(message, style="yellow"), "", "", "")
            continue
        same = scoring.normalise(row.reference or "") == scoring.normalise(row.text)
        nearest = (row.nearest or "") + ("" if row.nearest == row.speaker else f"   <- {row.speaker}")
        table.add_row(
            row.key, row.reference or "", row.text + ("" if same else "   <- differs"), row.keyword or "",
            f"{row.speech:.0%}", nearest,
        )  # fmt: skip
    console.print(table)


def _closing(rows: pd.DataFrame, summary: RunSummary, output: str, console: Console) -> None:
    heard = rows[rows.error.isna() & rows.reference.notna()]
    errors = scoring.word_errors(list(heard.reference), list(heard.text))
    rate = f"{errors.rate:.1%}" if errors.rate is not None else "not defined"
    failed = int(rows.error.notna().sum())
    lines = (
        f"\nword error rate {rate} ({errors.errors} of {errors.words})  ·  "
        f"nearest speaker right for {int((heard.nearest == heard.speaker).sum())} of {len(heard)}  ·  "
        f"{len(rows) - failed} transcribed, {failed} error{'s' * (failed != 1)}  ·  "
        f"{show_seconds(summary.audio_seconds)} of audio in {summary.work_seconds:.1f} s "
        f"(start-up {summary.startup_seconds or 0:.1f} s)",
        f"table   {output}/    {_python()} -c \"import pipeline; print(pipeline.read_table('{output}').to_pandas())\"",
        f"run it on your own audio:    {_command()} ~/recordings out/ --model {_shown(demo.checkpoint_folder())}",
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _command() -> str:
    """What works as pasted here: the job of a clone, or the installed command."""
    job = Path("jobs/transcribe_corpus.py")
    return f"{_python()} {job}" if job.is_file() else "voxmill transcribe"


def _python() -> str:
    """This interpreter as it can be typed here, whether its environment is active or not."""
    mine = Path(sys.executable)
    here = Path.cwd()
    return str(mine.relative_to(here)) if mine.is_relative_to(here) else "python"


def _shown(folder: Path) -> str:
    here = Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
