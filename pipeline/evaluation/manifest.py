"""References from a JSONL manifest: one object a line, matched to the rows by id or by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline import documents
from pipeline.errors import UserError
from pipeline.evaluation.files import RowNames, lines
from pipeline.storage.paths import redact


@dataclass(frozen=True, slots=True)
class Matched:
    """What a manifest says of some rows."""

    fields: dict[int, dict[str, Any]]
    """Number of a row -> the object of its line."""
    unmatched: int
    """Lines that are no row's."""


def match(uri: str, names: RowNames) -> Matched:
    """Find the rows of each line: those that its `id`, or `key`, names.

    Raises:
        UserError: the manifest cannot be read, a line is no object or names nothing, a key names several recordings,
            or two lines name one row.
    """
    found: dict[int, dict[str, Any]] = {}
    unmatched = 0
    for number, line in lines(uri):
        place = f"{redact(uri)}: line {number}"
        fields = _object(line, place)
        name = fields.get("key") if fields.get("id") is None else fields["id"]
        rows = names.rows(str(name), place)
        unmatched += not rows
        for row in rows:
            if row in found:
                raise UserError(f"{place}: an earlier line names the same recording; leave one of them out")
            found[row] = fields
    return Matched(found, unmatched)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        parsed = documents.parse(line)
    except ValueError as error:
        raise UserError(f"{place} is not JSON: {error}") from error
    if not isinstance(parsed, dict) or not {"id", "key"} & set(parsed):
        raise UserError(f"{place} must be an object with `id`, the id or the key of a row, and the reference")
    return parsed
