"""What Python users call: the same run that the jobs start, with options as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import config
from pipeline.config import RunConfig
from pipeline.errors import UserError
from pipeline.noise import kept_off, removed, worth_naming
from pipeline.summary import PARTIAL, RunSummary


def transcribe(
    source: str | os.PathLike[str] | Sequence[str],
    output: str | os.PathLike[str],
    *,
    model: str,
    **options: Any,
) -> RunSummary:
    """Transcribe a corpus into a table.

    Args:
        source: file, folder, tar shard, JSONL manifest or pattern, on any storage that fsspec knows; or several.
        output: folder of the table.
        model: checkpoint folder or hub id.
        **options: fields of `pipeline.config.RunConfig`, the options of the command line with `_` for `-`.

    Returns:
        What the run did; `exit_code` is 0 where every recording is in the table.

    Raises:
        UserError: a mistake that the caller can mend.
    """
    sources = [os.fspath(source)] if isinstance(source, str | os.PathLike) else [os.fspath(each) for each in source]
    if not sources:
        raise UserError("source: name at least one file, folder, manifest or pattern")
    chosen = config.make({**options, "model": os.fspath(model)})
    check(sources, os.fspath(output), chosen)
    # Before noise is kept off: loggers that libraries make when they are imported keep the stream of that moment.
    from pipeline.run import run

    with kept_off(show=chosen.debug) as (console, aside):
        try:
            summary = run(sources, os.fspath(output), chosen, console=console)
        except UserError:
            removed(aside.log)
            raise
        except Exception as error:
            if log := worth_naming(aside.log):
                error.add_note(f"{log} has what the libraries said; debug=True shows it")
            raise
        if summary.exit_code != PARTIAL:
            removed(aside.log)
        elif log := worth_naming(aside.log):
            aside.errors.print(f"log     {log} has what the libraries said", markup=False, soft_wrap=True)
    return summary


def check(sources: Sequence[str], output: str, chosen: RunConfig) -> None:
    """Find the commonest mistakes without the libraries of a run, which take seconds to import.

    Raises:
        UserError: a mistake that the caller can mend.
    """
    if not chosen.model:
        raise UserError("--model is needed: a checkpoint folder or hub id of Wav2Vec2-BERT with a CTC head")
    _check_output(output)
    _check_sources(sources)
    if chosen.columns:
        from pipeline.table.columns import parse_columns

        parse_columns(chosen.columns)


def _check_output(output: str) -> None:
    from pipeline.storage.paths import is_local, local_path, redact

    if not is_local(output):
        return
    path = Path(local_path(output))
    nearest = next(each for each in (path, *path.parents) if os.path.exists(each))
    if not os.path.isdir(nearest):
        raise UserError(
            f"{redact(output)}: a file is where a folder should be ({nearest}). "
            "OUTPUT, the last argument, is the folder of the table: name another, or move that file"
        )


def _check_sources(sources: Sequence[str]) -> None:
    """Refuse a local source that does not exist; patterns are left to the run, for listing them twice may be long."""
    from pipeline.storage.paths import is_local, local_path

    missing = [
        source
        for source in sources
        if is_local(source) and not set("*?[{") & set(source) and not os.path.exists(local_path(source))
    ]
    if missing:
        from pipeline.sources import probe

        probe(missing)
