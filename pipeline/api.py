"""What Python users call: the same run that the jobs start, with options as keywords."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pipeline import config
from pipeline.config import RunConfig
from pipeline.errors import UserError
from pipeline.noise import kept_off, removed, worth_naming
from pipeline.summary import PARTIAL, RunSummary

Source: TypeAlias = str | os.PathLike[str] | Sequence[str]


def transcribe(
    source: Source, output: str | os.PathLike[str], *, model: str | os.PathLike[str], **options: Any
) -> RunSummary:
    """Transcribe a corpus into a table.

    Args:
        source: file, folder, tar shard, JSONL manifest or pattern, on any storage that fsspec knows; or several.
        output: folder of the table.
        model: checkpoint folder or hub id, with a CTC head.
        **options: fields of `pipeline.config.RunConfig`, the options of the command line with `_` for `-`.

    Returns:
        What the run did; `exit_code` is 0 where every recording is in the table.

    Raises:
        UserError: a mistake that the caller can mend.
    """
    return _run("transcribe", source, output, {**options, "model": os.fspath(model)})


def classify(
    source: Source, output: str | os.PathLike[str], *, model: str | os.PathLike[str], **options: Any
) -> RunSummary:
    """Give every recording of a corpus a class; arguments and errors as for `transcribe`, of a classification head."""
    return _run("classify", source, output, {**options, "model": os.fspath(model)})


def label_frames(
    source: Source, output: str | os.PathLike[str], *, model: str | os.PathLike[str], **options: Any
) -> RunSummary:
    """Find where labels hold in a corpus; arguments and errors as for `transcribe`, of a head that scores frames."""
    return _run("frames", source, output, {**options, "model": os.fspath(model)})


def embed(
    source: Source, output: str | os.PathLike[str], *, model: str | os.PathLike[str], **options: Any
) -> RunSummary:
    """Give every stretch of speech of a corpus a vector of its speaker; as `transcribe`, of an x-vector head."""
    return _run("embed", source, output, {**options, "model": os.fspath(model)})


def label(source: Source, output: str | os.PathLike[str], *, tasks: Mapping[str, str], **options: Any) -> RunSummary:
    """Do several tasks in one pass over a corpus.

    Args:
        source: as for `transcribe`.
        output: as for `transcribe`.
        tasks: kind of task, or KIND:NAME -> checkpoint folder or hub id, as
            `{"transcribe": "a", "embed": "b", "embed:other": "c"}`.
        **options: as for `transcribe`.

    Returns:
        What the run did; `exit_code` is 0 where every recording is in the table of every task.

    Raises:
        UserError: a mistake that the caller can mend.
    """
    if not isinstance(tasks, Mapping) or "task" in options:
        raise UserError("tasks: give a mapping of kind, or KIND:NAME, to checkpoint, as {'transcribe': 'path'}")
    asked = tuple(f"{kind}={os.fspath(model)}" for kind, model in tasks.items())
    return _run("label", source, output, {**options, "task": asked})


def _run(kind: str, source: Source, output: str | os.PathLike[str], options: Mapping[str, Any]) -> RunSummary:
    sources = [os.fspath(source)] if isinstance(source, str | os.PathLike) else [os.fspath(each) for each in source]
    if not sources:
        raise UserError("source: name at least one file, folder, manifest or pattern")
    chosen = config.make(options, kind=kind)
    check(kind, sources, os.fspath(output), chosen)
    # Before noise is kept off: loggers that libraries make when they are imported keep the stream of that moment.
    from pipeline.run import run

    with kept_off(show=chosen.debug) as (console, aside):
        try:
            summary = run(sources, os.fspath(output), chosen, kind=kind, console=console)
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


def check(kind: str, sources: Sequence[str], output: str, chosen: RunConfig) -> None:
    """Find the commonest mistakes without the libraries of a run, which take seconds to import.

    Raises:
        UserError: a mistake that the caller can mend.
    """
    if kind != "label" and not chosen.model:
        raise UserError(f"--model is needed: a checkpoint folder or hub id of Wav2Vec2-BERT with {_HEADS[kind]}")
    if kind == "label" and not chosen.task:
        raise UserError("--task is needed, once or several times: KIND=MODEL, as transcribe=path/to/checkpoint")
    _check_output(output, written=not chosen.dry_run)
    _check_sources(sources)
    if chosen.columns:
        from pipeline.table.columns import parse_columns

        parse_columns(chosen.columns)


_HEADS = {
    "transcribe": "a CTC head",
    "classify": "a classification head",
    "frames": "a head that scores frames",
    "embed": "an x-vector head",
}


def _check_output(output: str, *, written: bool) -> None:
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
    if written and not os.access(nearest, os.W_OK | os.X_OK):
        raise UserError(
            f"{redact(output)}: permission denied while writing ({nearest}). Check owner and mode of that folder and "
            "whether its disk is read-only, or name another output folder"
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
