"""The demonstration: every task in one pass over the embedded corpus, then what came out, side by side."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipeline import __version__, command, config, demo, scoring
from pipeline.arguments import Parser
from pipeline.errors import UserError
from pipeline.leaving import leave
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
    parser.add_argument("--output", metavar="DIR", default=OUTPUT, help=f"table, emptied first (default: {OUTPUT})")
    parser.add_argument("--num-cpus", metavar="N", help="logical CPUs of the local Ray (default: those of the machine)")
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


@dataclass(frozen=True, slots=True)
class Heard:
    """What each task says of one recording; None where a task has nothing to say."""

    key: str
    reference: str | None
    text: str | None
    keyword: str | None
    speech: float | None
    """Share of the recording."""
    speaker: str | None
    """Whose voice it is."""
    nearest: str | None
    """Whose other recordings sound most like it."""
    error: str | None


def together(output: str) -> list[Heard]:
    """One row a recording, by its key."""
    from pipeline.table import read_table

    tables = {
        kind: {row["id"]: row for row in read_table(output, task=kind).to_table().to_pylist()}
        for kind in demo.CHECKPOINTS
    }
    found = sorted(tables["transcribe"].values(), key=lambda row: str(row["key"]))
    speakers = [json.loads(row["metadata"] or "{}").get("speaker") for row in found]
    nearest = nearest_speakers([tables["embed"][row["id"]]["embedding"] for row in found], speakers)
    return [
        Heard(
            key=row["key"],
            reference=row["reference"],
            text=row["text"],
            keyword=tables["classify"][row["id"]]["label"],
            speech=_share(tables["frames"][row["id"]]),
            speaker=speaker,
            nearest=near,
            error=f"{row['error']['stage']}: {row['error']['message']}" if row["error"] else None,
        )
        for row, speaker, near in zip(found, speakers, nearest, strict=True)
    ]


def nearest_speakers(embeddings: Sequence[Sequence[float] | None], speakers: Sequence[str | None]) -> list[str | None]:
    """For each recording the speaker whose other recordings' mean has the largest cosine with it."""
    vectors = {number: np.array(each) for number, each in enumerate(embeddings) if each is not None}
    found: list[str | None] = [None] * len(speakers)
    for number, vector in vectors.items():
        cosines = {}
        for name in sorted({speaker for speaker in speakers if speaker is not None}):
            others = [each for other, each in vectors.items() if other != number and speakers[other] == name]
            if others:
                mean = np.mean(others, axis=0)
                cosines[name] = float(vector @ mean / np.linalg.norm(mean))
        found[number] = max(cosines, key=lambda name: cosines[name], default=None)
    return found


def _share(row: Mapping[str, Any]) -> float | None:
    """Of a recording that is speech."""
    if row["frames"] is None:
        return None
    spoken = sum(each["end"] - each["start"] for each in row["frames"])
    return float(spoken / row["duration"])


def _empty(folder: Path) -> None:
    """Start from nothing, but never delete what an earlier demo did not make."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder with --output")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise UserError(f"{folder}: is not empty, and no demo made it; name another with --output")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("This folder is made by the demo, and emptied by the next one.\n")


def _side_by_side(rows: Sequence[Heard], console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("recording", "reference", "transcript", "keyword", "speech", "nearest speaker"):
        table.add_column(name, no_wrap=name == "recording", overflow="fold", style=None)
    for row in rows:
        if row.error is not None:
            table.add_row(row.key, "", Text(row.error, style="yellow"), "", "", "")
            continue
        same = scoring.normalise(row.reference or "") == scoring.normalise(row.text or "")
        transcript = (row.text or "") + ("" if same else "   <- differs")
        speech = "" if row.speech is None else f"{row.speech:.0%}"
        table.add_row(row.key, row.reference or "", transcript, row.keyword or "", speech, _nearest(row))
    console.print(table)


def _nearest(row: Heard) -> str:
    if row.nearest is None:
        return "too little speech"
    return row.nearest if row.nearest == row.speaker else f"{row.nearest}   <- {row.speaker}"


def _closing(rows: Sequence[Heard], summary: RunSummary, output: str, console: Console) -> None:
    heard = [row for row in rows if row.error is None and row.reference is not None]
    errors = scoring.word_errors([row.reference or "" for row in heard], [row.text or "" for row in heard])
    rate = f"{errors.rate:.1%}" if errors.rate is not None else "not defined"
    failed = sum(row.error is not None for row in rows)
    lines = (
        f"\nword error rate {rate} ({errors.errors} of {errors.words})  ·  "
        f"nearest speaker right for {sum(row.nearest == row.speaker for row in heard)} of {len(heard)}  ·  "
        f"{len(rows) - failed} transcribed, {failed} error{'s' * (failed != 1)}  ·  "
        f"{show_seconds(summary.audio_seconds)} of audio in {summary.work_seconds:.1f} s "
        f"(start-up {summary.startup_seconds or 0:.1f} s)",
        f"table   {output}/",
        f"        {_python()} -c \"import pipeline; print(pipeline.read_table('{output}', task='transcribe'))\"",
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
    leave(main(sys.argv[1:]))
