"""What comes along with audio: the reference text, and all other metadata as one JSON object; without credentials."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pipeline import documents
from pipeline.storage.secrets import redact

MAX_SIDECAR = 2**20
"""Bytes; a larger sidecar is no label of one recording."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Reference text and metadata of one recording."""

    reference: str | None = None
    metadata: str | None = None


NONE = Labels()
_MARKS = ("://", "=", "%3")
"""One of them is in every URI or query with credentials; the last is of those that are percent-encoded."""


def from_sidecars(text: bytes | None, metadata: bytes | None) -> Labels:
    """Read the contents of a `.txt` and of a `.json` sidecar; `text` in the JSON counts where there is no `.txt`.

    Raises:
        ValueError: one of them is not what its name says.
    """
    try:
        reference = _text(text).strip() if text is not None else None
    except UnicodeDecodeError as error:
        raise ValueError(f"its sidecar is not UTF-8 (byte {error.start})") from error
    if metadata is None:
        return from_fields({}, reference)
    try:
        fields = documents.parse(_text(metadata), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ValueError(f"its sidecar is not UTF-8 (byte {error.start})") from error
    except ValueError as error:
        raise ValueError(f"its .json sidecar is not JSON: {error}") from error
    if not isinstance(fields, dict):
        fields = {"value": fields}
    return from_fields(fields, reference)


def from_fields(fields: dict[str, Any], reference: str | None = None) -> Labels:
    """Take `text` as the reference, unless there is one, and everything else as metadata; mask credentials in both."""
    rest, reference = masked(fields), masked(reference)
    if reference is None and isinstance(rest.get("text"), str):
        reference = clean(rest.pop("text"))
    return Labels(reference, to_json(rest) if rest else None)


def masked(value: Any) -> Any:
    """Mask credentials in every text of a JSON value: it ends in plans and tables."""
    if isinstance(value, str):
        # Nearly no text is one of a URI or has one, and there are millions.
        return redact(value) if any(mark in value for mark in _MARKS) else value
    if isinstance(value, dict):
        return _renamed({name: masked(each) for name, each in value.items()})
    return [masked(each) for each in value] if isinstance(value, list) else value


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """Mask credentials in names; stars at the end keep apart what were different ones."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        shown = masked(name)
        while shown != name and (shown in kept or shown in fields):
            shown += "*"
        kept[shown] = value
    return kept


def to_json(fields: dict[str, Any]) -> str:
    """Write JSON that every reader takes: no NaN, no half of a surrogate pair."""
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    return text if clean(text) == text else json.dumps(fields, allow_nan=False)


def clean(text: str) -> str:
    """Replace what is no Unicode character."""
    return text.encode("utf-8", "replace").decode()


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig")


def _no_constant(name: str) -> None:
    """NaN and infinity are no JSON; null is what they mean."""
