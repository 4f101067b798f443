"""Typed columns taken from the metadata: `--columns speaker:string,year:int32`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from pipeline import documents
from pipeline.errors import UserError
from pipeline.storage.secrets import redact

TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
}
_NAME = re.compile(r"[^\s:,]+")


def parse_columns(spec: str) -> tuple[pa.Field, ...]:
    """Columns in `name:type,name:type`; () for an empty string.

    Raises:
        UserError: something else than a name and one of the types, or one name twice.
    """
    found: dict[str, pa.Field] = {}
    for part in filter(None, (part.strip() for part in spec.split(","))):
        name, colon, type_name = part.rpartition(":")
        if not colon or not _NAME.fullmatch(name) or type_name not in TYPES:
            raise UserError(
                f"--columns: {redact(part)!r} is not name:type with one of the types {', '.join(TYPES)}; "
                "write speaker:string,year:int32"
            )
        if name in found:
            raise UserError(f"--columns: {redact(name)!r} is asked for twice; name each column once")
        found[name] = pa.field(name, TYPES[type_name])
    return tuple(found.values())


def cast_metadata(columns: Sequence[pa.Field], metadata: str | None) -> tuple[dict[str, Any], list[str]]:
    """Values of the columns in one recording's metadata, and a warning for each that does not fit its type.

    A field that is absent or null is null without a warning.

    Args:
        columns: what `parse_columns` gave.
        metadata: a JSON object, or None.
    """
    fields = _object(metadata)
    values: dict[str, Any] = {}
    warnings = []
    for column in columns:
        value = fields.get(column.name)
        try:
            values[column.name] = None if value is None else _CASTS[str(column.type)](value)
        except ValueError:
            values[column.name] = None
            warnings.append(f"metadata: {column.name} is {_short(value)}, not {column.type}")
    return values, warnings


def extra_columns(
    columns: Sequence[pa.Field], metadata: Sequence[str | None]
) -> tuple[dict[str, pa.Array], list[list[str]]]:
    """Arrays of the columns for many recordings, and the warnings of each."""
    rows = [cast_metadata(columns, each) for each in metadata]
    arrays = {each.name: pa.array([values[each.name] for values, _ in rows], type=each.type) for each in columns}
    return arrays, [warnings for _, warnings in rows]


def _object(metadata: str | None) -> dict[str, Any]:
    try:
        parsed = documents.parse(metadata) if metadata else {}
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _short(value: object) -> str:
    text = _string(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:59] + "…"


def _string(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # JSON may have half of a surrogate pair, which no column holds.
    return text.encode("utf-8", "replace").decode()


def _integer(bits: int) -> Callable[[Any], int]:
    def cast(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = int(value) if isinstance(value, int | str) else _whole(value)
        if not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise ValueError
        return number

    return cast


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError
    return int(value)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:
        raise ValueError from None
    if not math.isfinite(number):
        raise ValueError
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError


_CASTS: dict[str, Callable[[Any], Any]] = {
    "string": _string, "int32": _integer(32), "int64": _integer(64), "double": _double, "bool": _bool,
}  # fmt: skip
