"""Where the references of a table's rows are: a column, a field of the metadata, or a manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import documents
from pipeline.errors import UserError
from pipeline.evaluation.files import RowNames
from pipeline.evaluation.manifest import Matched, match
from pipeline.evaluation.options import Options
from pipeline.storage.paths import redact

COLUMN = "reference"
METADATA = "metadata"
FIELDS: Mapping[str, str] = {"transcribe": "text", "classify": "label", "frames": "frames", "embed": "speaker"}
"""Task -> the field of the metadata, or of a manifest's lines, that holds the reference unless another is named."""


@dataclass(frozen=True, slots=True)
class References:
    """What each row should have been given."""

    values: Sequence[Any]
    """One a row, in order; None where there is none."""
    described: str
    """Where they are from: "column reference"."""
    unmatched: int = 0
    """Lines of a manifest that are no row's."""


def references(rows: pa.Table, task: str, chosen: Options) -> References:
    """Find the references of all rows.

    Args:
        rows: every row of the table, with the columns of `rows.ALWAYS` and the one that was chosen.
        task: what the rows are: `transcribe`, `classify`, `frames` or `embed`.
        chosen: where to look; without a wish the column `reference` for transcripts, the metadata for the others,
            and for labels the column `reference` where no metadata has one.

    Raises:
        UserError: what was chosen is not there.
    """
    field = chosen.label_field or FIELDS[task]
    if chosen.reference is None:
        return _along(rows, task, field, named=chosen.label_field is not None)
    if chosen.reference not in rows.column_names:
        return _of_manifest(rows, chosen.reference, field)
    if chosen.label_field:
        raise UserError(
            f"--label-field {field} is a field of the metadata or of a manifest, and --reference {chosen.reference} "
            "a column of the table; leave one out"
        )
    return _of_column(rows, chosen.reference)


def _along(rows: pa.Table, task: str, field: str, *, named: bool) -> References:
    if task == "transcribe" and not named:
        return _of_column(rows, COLUMN)
    found = [_known(_fields(each).get(field)) for each in rows.column(METADATA).to_pylist()]
    if task == "classify" and not named and all(each is None for each in found):
        return _of_column(rows, COLUMN)
    return References(found, f"metadata field {field}")


def _of_column(rows: pa.Table, name: str) -> References:
    return References([_known(each) for each in rows.column(name).to_pylist()], f"column {name}")


def _of_manifest(rows: pa.Table, uri: str, field: str) -> References:
    try:
        matched = match(uri, RowNames.of(rows))
    except UserError as error:
        if str(error).endswith("no such file"):
            raise UserError(
                f"--reference: {redact(uri)!r} is neither a column of the table nor a file. Name a column that "
                "--columns made, or a JSONL manifest with `id` and the reference"
            ) from error
        raise
    values = [_known(matched.fields.get(row, {}).get(field)) for row in range(rows.num_rows)]
    if all(each is None for each in values):
        raise UserError(f"{redact(uri)}: {_no_use(rows, matched, field)}")
    return References(values, f"{redact(uri)}, field {field}", matched.unmatched)


def _no_use(rows: pa.Table, matched: Matched, field: str) -> str:
    """Why a manifest has no reference for any row, and what to do."""
    if not matched.fields:
        id, key = (str(rows.column(name)[0]) for name in ("id", "key"))
        return f"no line names a row; rows have ids such as {id!r} and keys such as {key!r}"
    fields = ", ".join(sorted(set().union(*matched.fields.values())))
    return f"no line of a row has the field {field}; there are {fields}. Name one of them with --label-field"


def _known(value: Any) -> Any:
    """A reference, or None where tools that have no other word for it write NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


def known_fields(rows: pa.Table) -> list[str]:
    """Names of all fields in the metadata, sorted."""
    return sorted(set().union(*(_fields(each) for each in rows.column(METADATA).unique().to_pylist())))


def _fields(metadata: str | None) -> dict[str, Any]:
    """The object in one row's metadata; nothing where it holds none."""
    try:
        parsed = documents.parse(metadata) if metadata else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
