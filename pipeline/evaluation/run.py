"""From a table to its scores: which rows, which references, which comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from pipeline.errors import UserError
from pipeline.evaluation import classify, embed, frames, transcribe
from pipeline.evaluation.options import Options, check_task
from pipeline.evaluation.references import References, known_fields, references
from pipeline.evaluation.report import Evaluation, Scores
from pipeline.evaluation.rows import ALWAYS, NO_REFERENCE, Compared, compared
from pipeline.options import make
from pipeline.plan.store import units
from pipeline.storage.paths import join, redact
from pipeline.table import Table, pending, read_table
from pipeline.table.presence import look_for_table
from pipeline.table.task import folder_name, read_record, tasks


class Judge(Protocol):
    """A module of this package that compares the rows of one task."""

    RESULT: str
    """Column that is null where the task found nothing."""
    LACKING: str
    """What to call such a row."""
    COLUMNS: tuple[str, ...]
    """Columns of the task that are compared."""

    def compare(self, found: Compared, chosen: Options) -> Scores:
        """Compare rows with their references."""
        ...


JUDGES: Mapping[str, Judge] = {"transcribe": transcribe, "classify": classify, "frames": frames, "embed": embed}
"""By what a table's record calls its task."""


def evaluate(output: str | os.PathLike[str], **chosen: Any) -> Evaluation:
    """Compare the committed rows of a task with their references; nothing is written.

    Args:
        output: folder of a table, on any storage.
        **chosen: fields of `pipeline.evaluation.options.Options`, the options of the command line with `_` for `-`.

    Returns:
        The scores; `write` puts them into a folder.

    Raises:
        UserError: a mistake that the caller can mend: no table, no such task, no references.
        StorageFault: it cannot be read.
    """
    return _evaluate(os.fspath(output), make(Options, chosen), chosen)


def _evaluate(output: str, chosen: Options, given: Mapping[str, Any]) -> Evaluation:
    look_for_table(output)
    name = folder_name(chosen.task) if chosen.task else _only_task(output)
    record, folder = read_record(output, name), redact(join(output, name))
    judge = JUDGES.get(record.task)
    if judge is None:
        raise UserError(f"{folder}: rows of the task {record.task} cannot be scored, only {', '.join(JUDGES)}")
    check_task(given, record.task, folder)
    rows = _read(read_table(output, task=name), judge, chosen, folder)
    if not rows.num_rows:
        raise UserError(f"{folder}: no row is committed yet. Run the job first")
    wanted = references(rows, record.task, chosen)
    needed = not chosen.trials
    found = compared(rows, wanted.values, result=judge.RESULT, lacking=judge.LACKING, needed=needed)
    if not found.rows.num_rows:
        raise UserError(f"{folder}: {_nothing(rows, found, wanted, chosen)}")
    scores = judge.compare(found, chosen)
    return Evaluation(
        output=output,
        name=name,
        task=record.task,
        model={"name": record.model_name, "hash": record.model_hash},
        reference=wanted.described if needed else f"trials of {redact(str(chosen.trials))}",
        rows=rows.num_rows,
        left_out={**found.left_out, **scores.left_out},
        pending_units=len(pending(output, name, units(output))),
        unmatched_lines=wanted.unmatched,
        scores=scores,
    )


def _only_task(output: str) -> str:
    names = tasks(output)
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError(f"{redact(output)}: no task has been run there. Name the output folder of a run.")
    raise UserError(f"{redact(output)}: there are several tasks; choose one with --task: {', '.join(names)}")


def _read(table: Table, judge: Judge, chosen: Options, folder: str) -> pa.Table:
    names = table.schema.names
    missing = [each for each in (*ALWAYS, *judge.COLUMNS) if each not in names]
    if missing:
        raise UserError(
            f"{folder}: the rows have no column {missing[0]!r}, which their task writes; there are {', '.join(names)}. "
            "Was the folder written by another program?"
        )
    named = [name for name in names if name == chosen.reference]
    return table.to_table(columns=list(dict.fromkeys((*ALWAYS, *judge.COLUMNS, *named))))


def _nothing(rows: pa.Table, found: Compared, wanted: References, chosen: Options) -> str:
    """Why nothing can be compared, and what to do."""
    if not found.left_out[NO_REFERENCE]:
        reasons = [f"{count:,} {why}" for why, count in found.left_out.items() if count]
        return f"no row has a result to compare ({', '.join(reasons)}). See python -m pipeline.table errors"
    remedy = "Name a column or a JSONL manifest with --reference"
    if wanted.described.startswith("metadata") and not chosen.reference:
        fields = ", ".join(known_fields(rows)) or "no fields"
        remedy = f"The metadata has {fields}: name one with --label-field, or a JSONL manifest with --reference"
    return f"no row has a reference ({wanted.described}). {remedy}"
