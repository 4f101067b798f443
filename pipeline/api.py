"""What Python users call: the same run that the jobs start, with options as keywords."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from pipeline import config, run
from pipeline.errors import UserError
from pipeline.noise import kept_off, removed
from pipeline.summary import RunSummary


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
    with kept_off(show=chosen.debug) as (console, log):
        summary = run.run(sources, os.fspath(output), chosen, console=console)
    removed(log)
    return summary
