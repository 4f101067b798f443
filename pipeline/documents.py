"""JSON that others wrote: a value, or a ValueError, whatever the text holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

DEEPEST = 100
"""Levels of lists and objects in each other; nothing that is read here needs more than a few."""

LARGEST = 16 * 2**20
"""Bytes of a file that describes one thing: settings, a vocabulary. Read, it takes up to thirty times as much."""


def load(path: Path) -> Any:
    """Read the JSON of a local file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, nested too deeply, or larger than any that describes one thing.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise ValueError(f"larger than {LARGEST >> 20} MB")
    return parse(data.decode())


def parse(text: str | bytes, *, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Read JSON.

    Args:
        text: one document.
        parse_constant: what to make of NaN and infinity, which are no JSON; default as Python does.

    Raises:
        ValueError: it is not JSON, or nested so deeply that whoever looks at it runs out of stack.
    """
    try:
        found = json.loads(text, parse_constant=parse_constant)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    # Depth takes as many brackets: short texts and flat ones need not be walked.
    if len(text) > 2 * DEEPEST and _brackets(text) > DEEPEST and _is_deep(found):
        raise ValueError(_TOO_DEEP)
    return found


def is_text(value: object) -> bool:
    """Say whether a value is text that a column holds: JSON may have half of a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_TOO_DEEP = f"nested more than {DEEPEST} levels deep"


def _brackets(text: str | bytes) -> int:
    if isinstance(text, str):
        return text.count("[") + text.count("{")
    return text.count(b"[") + text.count(b"{")


def _is_deep(found: Any) -> bool:
    level = _holders([found])
    for _ in range(DEEPEST):
        level = _holders(inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer))
        if not level:
            return False
    return True


def _holders(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list)]
