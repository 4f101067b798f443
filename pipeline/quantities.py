"""Sizes, times, shares and numbers as people write them: `256MB`, `30s`, `1.5h`, `5%`, `4`."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence

_SIZES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_TIMES = {"": 1.0, "s": 1.0, "ms": 1e-3, "m": 60.0, "min": 60.0, "h": 3600.0}


def _split(text: str | float, units: Collection[str], wanted: str) -> tuple[float, str]:
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z%]*)\s*", str(text).lower())
    if match is None or match[2] not in units or math.isinf(float(match[1])):
        raise ValueError(f"{text!r} is {wanted}")
    return float(match[1]), match[2]


def _finite(number: float, text: str | float, wanted: str) -> float:
    if math.isinf(number):
        raise ValueError(f"{text!r} is {wanted}")
    return number


def parse_seconds(text: str | float) -> float:
    """Seconds in `30`, `30s`, `5min`, `1.5h` or `200ms`."""
    wanted = "not a number with a unit of time; write it as 30s, 5min or 1.5h"
    number, unit = _split(text, _TIMES, wanted)
    return _finite(number * _TIMES[unit], text, wanted)


def parse_bytes(text: str | float) -> int:
    """Bytes in `1000`, `256MB` (10^6) or `256MiB` (2^20)."""
    wanted = "not a number with a unit of size; write it as 256MB or 1GiB"
    number, unit = _split(text, _SIZES, wanted)
    return int(_finite(number * _SIZES[unit], text, wanted))


def parse_share(text: str | float) -> float:
    """Share of one in `0.05` or `5%`."""
    number, unit = _split(text, ("", "%"), "no share; write it as 0.05 or 5%")
    return number / 100 if unit == "%" else number


def parse_count(text: str | float) -> float:
    """Number in `1` or `0.5`."""
    return _split(text, ("",), "not a plain number; write it as 1 or 0.5")[0]


def parse_whole(text: str | float) -> int:
    """Whole number in `4`."""
    wanted = "no whole number from 0 up; write it as 4"
    number, _ = _split(text, ("",), wanted)
    if not number.is_integer():
        raise ValueError(f"{text!r} is {wanted}")
    return int(number)


def parse_list(given: str | Sequence[str]) -> tuple[str, ...]:
    """Several texts, or one."""
    texts = (given,) if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{given!r} is no list of texts; write it as [one, another]")
    return tuple(texts)


def show_seconds(seconds: float) -> str:
    """Duration for people: `12.3 s`, `3.4 min`, `5.2 h`."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:,.1f} h"


def counted(count: int, noun: str) -> str:
    """Number and noun: `1 recording`, `2,000 recordings`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"
