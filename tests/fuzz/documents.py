"""JSON and YAML documents: other values in their places, fields gone, doubled or renamed, nested, and damaged text."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from pipeline import documents
from tests.fuzz import mutate

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**20, 10**400, 1e308, -0.0, 0.5, 1e-320, "", " ", "a",
    "é\u0000", "\ud800", "nan", "1e999", "9" * 5000, "x" * 3000, "../../etc/passwd", "/", "a\nb", [], [[]], [None],
    ["a", "a"], [1, 2], {}, {"": None}, {"a": {"b": [1]}}, [0] * 300, "\u202e", "<pad>", "|",
)  # fmt: skip
"""What stands where something else is expected."""
TEXTS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 5000, b"[" * 1200 + b"]" * 1200,
    b'{"a":' * 700 + b"1" + b"}" * 700,
    b"[" * 400 + b"]" * 400, b'"\\ud800"', b'"\xff"', b"\xef\xbb\xbf", b"//", b"null", b"[]", b'""', b"0", b"tru",
)  # fmt: skip
"""Pieces of text that are JSON, or nearly."""


def documented(values: Sequence[Any] = (), *, dump: Callable[[Any], str] = json.dumps) -> mutate.Mutate:
    """Changes documents of JSON, as one of them or their values; some as bytes.

    Args:
        values: more that may stand somewhere.
        dump: writes a document.
    """
    choices = (*VALUES, *values)

    def mutated(dice: Random, seeds: Sequence[bytes]) -> bytes:
        if dice.random() < 0.2:
            return mutate.bent(dice, seeds)
        document = json.loads(dice.choice(seeds))
        for _ in range(dice.choice((1, 1, 1, 2, 4))):
            document = changed(dice, document, choices)
        text = dump(document).encode("utf-8", "surrogatepass")
        return inserted(dice, text) if dice.random() < 0.25 else text

    return mutated


def is_object(data: bytes) -> bool:
    """Whether bytes are one JSON object, whatever is in it."""
    try:
        return isinstance(documents.parse(data), dict)
    except ValueError:
        return False


def changed(dice: Random, document: Any, choices: Sequence[Any]) -> Any:
    """A document with one thing in it changed, in place where it can be: it was read for this alone."""
    whole = [document]
    all_of_it, *parts = places(whole)
    # In a small document it would be one place of few, and what is no object says little.
    holder, key = dice.choice(parts) if parts and dice.random() < 0.95 else all_of_it
    value = holder[key]
    what = dice.randrange(8)
    if what < 3:
        holder[key] = copy.deepcopy(dice.choice(choices))
    elif what == 3 and isinstance(value, int | float):
        holder[key] = dice.choice((value + 1, value - 1, -value, value * 2, str(value)[:9], 0))
    elif what == 4 and isinstance(value, str):
        letters = list(value) or ["a"]
        letters[dice.randrange(len(letters))] = dice.choice(("", "\u0000", "A", "é", "/", ":", "\n", letters[0] * 2))
        holder[key] = "".join(letters)
    elif what == 5 and isinstance(holder, dict):
        holder[dice.choice((*holder, "x", ""))] = holder.pop(key)
    elif what == 6 and holder is not whole:
        del holder[key]
    elif what == 7 and isinstance(value, list):
        value.extend(value[:3])
    else:
        holder[key] = [value] if dice.random() < 0.5 else {"a": value}
    return whole[0]


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every container and key of a document."""
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def inserted(dice: Random, text: bytes) -> bytes:
    """Text in which a value is a strange piece of text, or which has one somewhere."""
    piece = dice.choice(TEXTS)
    marks = [at for at in range(len(text)) if text[at : at + 1] in (b":", b"[", b",")]
    if not marks or dice.random() < 0.2:
        at = dice.randrange(len(text) + 1)
        return text[:at] + piece + text[at:]
    at = dice.choice(marks) + 1
    stop = next((end for end in range(at, len(text)) if text[end : end + 1] in (b",", b"}", b"]")), len(text))
    return text[:at] + piece + text[stop:]
