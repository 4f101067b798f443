"""The columns of a plan file, and recordings as their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

import pyarrow as pa

from pipeline.corpus import Recording

VERSION = "1"
"""Raised when older plan files can no longer be read; written as `voxmill.plan` into every file."""

_TYPES = {
    "id": pa.string(), "source": pa.string(), "key": pa.string(), "version": pa.string(),
    "recording": pa.string(), "format": pa.string(), "seconds": pa.float64(), "seconds_from": pa.string(),
    "size": pa.int64(), "offset": pa.int64(), "member": pa.string(), "streamed": pa.bool_(),
    "sample_rate": pa.int32(), "start": pa.float64(), "end": pa.float64(), "span": pa.int32(), "spans": pa.int32(),
    "reference": pa.string(), "metadata": pa.string(),
}  # fmt: skip
NAMES = tuple(field.name for field in fields(Recording))
_VALUES = attrgetter(*NAMES)

OLD_ROW = pa.struct([pa.field("unit", pa.string()), pa.field("id", pa.string())])

DRAFT_SCHEMA = pa.schema(
    [
        *(pa.field(name, _TYPES[name]) for name in NAMES if name != "seconds"),
        # Rows of older generations that this one takes the place of, or null.
        pa.field("supersedes", pa.list_(OLD_ROW)),
        # What listing the units needs comes last, side by side: one short read a row group.
        pa.field("seconds", _TYPES["seconds"]),
        # Bytes that the row adds to what its unit reads: lines of one file count it once, a span its share.
        pa.field("payload", pa.int64()),
    ]
)
# True on the last row of a file, tar or manifest line that was looked at to its end, see `files`. What a plan without
# it holds is looked at in every listing, until it changes.
CLOSING = pa.field("closing", pa.bool_())
PLAN_SCHEMA = DRAFT_SCHEMA.append(pa.field("unit", pa.string())).append(CLOSING)

OldRow = tuple[str, str]
"""Unit and id of a row that is superseded."""


def to_table(
    recordings: Sequence[Recording], payloads: Sequence[int], supersedes: Sequence[list[OldRow] | None]
) -> pa.Table:
    """Rows of a draft: everything but the unit, which is not known before all are."""
    values = list(zip(*map(_VALUES, recordings), strict=True)) or [()] * len(NAMES)
    columns: dict[str, Sequence[Any]] = dict(zip(NAMES, values, strict=True))
    columns["payload"] = payloads
    columns["supersedes"] = [rows and [{"unit": unit, "id": id} for unit, id in rows] for rows in supersedes]
    arrays = [pa.array(columns[each.name], type=each.type) for each in DRAFT_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=DRAFT_SCHEMA)


def to_recordings(table: pa.Table) -> tuple[Recording, ...]:
    """Recordings of rows of a plan file."""
    columns = [table.column(name).to_pylist() for name in NAMES]
    return tuple(Recording(*values) for values in zip(*columns, strict=True))
