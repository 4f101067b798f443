"""The columns that every task's files have: explicit types, plain ones, the same in every file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipeline.corpus import Recording
from pipeline.errors import UserError

SCHEMA_VERSION = "1"
"""Raised when a column changes its meaning or its type; columns that are only added leave it."""
VERSION_KEY = b"voxmill.schema"
MODEL_KEY = b"voxmill.model_hash"
DIMENSION_KEY = b"voxmill.embedding_dimension"

MODEL = pa.struct([pa.field("name", pa.string()), pa.field("hash", pa.string())])
ERROR = pa.struct([pa.field("stage", pa.string()), pa.field("type", pa.string()), pa.field("message", pa.string())])

PLANNED = (
    pa.field("id", pa.string()),
    pa.field("source", pa.string()),
    pa.field("key", pa.string()),
    pa.field("recording", pa.string()),
    pa.field("span", pa.int32()),
    pa.field("spans", pa.int32()),
    pa.field("unit", pa.string()),
    pa.field("version", pa.string()),
    pa.field("start", pa.float64()),
)
"""What the plan knows of a row."""
MEASURED = (
    pa.field("duration", pa.float64()),
    pa.field("sample_rate", pa.int32()),
    pa.field("channels", pa.int32()),
)
"""What decoding finds: seconds of this row's audio, Hz and channels of the file; null where it failed."""
CARRIED = (pa.field("reference", pa.string()), pa.field("metadata", pa.string()))
"""What came along with the audio; the task's columns stand before, the columns asked for behind."""
LAST = (
    pa.field("model", MODEL),
    pa.field("warnings", pa.list_(pa.string())),
    pa.field("error", ERROR),
)
COMMON = (*PLANNED, *MEASURED, *CARRIED, *LAST)
"""All columns that do not depend on the task."""


def schema(
    task_columns: Sequence[pa.Field], extra_columns: Sequence[pa.Field] = (), *, model_hash: str | None = None
) -> pa.Schema:
    """Schema of every file of a task, with its version in the metadata.

    Args:
        task_columns: what only this task has, such as `text`.
        extra_columns: what was asked for of the metadata, see `columns.parse_columns`.
        model_hash: of the checkpoint, for the metadata: it and the dimension of vectors say which can be compared.

    Raises:
        UserError: an extra column has the name of another one.
    """
    fields = [*PLANNED, *MEASURED, *task_columns, *CARRIED, *extra_columns, *LAST]
    names = [field.name for field in fields]
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise UserError(
            f"--columns: the name {double[0]!r} is taken; the columns of this task are "
            f"{', '.join(each.name for each in (*COMMON, *task_columns))}. Rename the field in the metadata."
        )
    vectors = [field.type.list_size for field in task_columns if pa.types.is_fixed_size_list(field.type)]
    metadata = {
        VERSION_KEY: SCHEMA_VERSION,
        **({MODEL_KEY: model_hash} if model_hash else {}),
        **({DIMENSION_KEY: str(vectors[0])} if vectors else {}),
    }
    return pa.schema(fields, metadata=metadata)


def unpacked(packed: bytes) -> pa.Schema:
    """Read a schema that was serialized.

    Raises:
        ValueError: the bytes are none, have a column of a type that no table has (some end the process that reads),
            or have a column twice.
    """
    try:
        found = pa.ipc.read_schema(pa.py_buffer(packed))
        # Names that are no UTF-8 are found where they are looked at.
        look_at_names(found)
    except (pa.ArrowException, OSError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    if strange := [field for field in found if not _of_a_table(field.type)]:
        raise ValueError(f"column {strange[0].name} of type {strange[0].type}")
    if len(set(found.names)) < len(found.names):
        raise ValueError("a column that comes twice")
    return found


def look_at_names(fields: Iterable[pa.Field]) -> None:
    """Look at the names of columns, and of what is inside of them.

    Raises:
        UnicodeDecodeError: one is no UTF-8, which Arrow tells whoever asks first.
    """
    for field in fields:
        field.name  # noqa: B018
        look_at_names(field.type.field(number) for number in range(field.type.num_fields))


def _of_a_table(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return all(_of_a_table(kind.field(number).type) for number in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _of_a_table(kind.value_type)
    kinds = (pa.types.is_string, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating)
    return any(of(kind) for of in kinds)


def planned_columns(unit: str, recordings: Sequence[Recording]) -> dict[str, pa.Array]:
    """Arrays of the columns that the plan knows: `PLANNED` and `CARRIED`, one row a recording, in order."""
    found = {}
    for field in (*PLANNED, *CARRIED):
        values = [unit] * len(recordings) if field.name == "unit" else [getattr(r, field.name) for r in recordings]
        found[field.name] = pa.array(values, type=field.type)
    return found


def difference(found: pa.Schema, declared: pa.Schema) -> str | None:
    """Say how the schema of a file contradicts the declared one; None where it fits.

    Columns that the file lacks fit: they were added after it was written and read as null. `text` was there from the
    first.
    """
    version = (found.metadata or {}).get(VERSION_KEY, b"").decode(errors="replace")
    if version != SCHEMA_VERSION:
        return f"schema version {ascii(version) if version else 'missing'}, not {SCHEMA_VERSION}"
    for field in found:
        if found.get_field_index(field.name) < 0:
            return f"column {field.name} comes twice"
        if declared.get_field_index(field.name) < 0:
            return f"column {field.name} is not one of this task"
        if field.type != declared.field(field.name).type:
            return f"column {field.name} is {field.type}, not {declared.field(field.name).type}"
    needed = [*(field.name for field in COMMON), *(name for name in declared.names if name == "text")]
    missing = [name for name in needed if found.get_field_index(name) < 0]
    return f"column {missing[0]} is missing" if missing else None


def lacking(rows: pa.Table) -> str | None:
    """Say what some rows lack that those of every task have: a column, its type, an id or a unit; None if nothing."""
    for field in COMMON:
        place = rows.schema.get_field_index(field.name)
        if place < 0:
            return f"column {field.name} is missing"
        if rows.schema.field(place).type != field.type:
            return f"column {field.name} is {rows.schema.field(place).type}, not {field.type}"
    nameless = [name for name in ("id", "unit") if rows.column(name).null_count]
    return f"column {nameless[0]} has nulls" if nameless else None


def plain(found: pa.Schema) -> pa.Schema:
    """Schema of a file without what its footer tells about one attempt."""
    metadata = {key: value for key, value in (found.metadata or {}).items() if key == VERSION_KEY}
    return found.with_metadata(metadata)
