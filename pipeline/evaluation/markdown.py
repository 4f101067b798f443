"""Tables of Markdown that can also be read as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a page."""

    title: str
    """Heading above it; '' for none."""
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def render(sheet: Sheet) -> str:
    """Lines of a table in Markdown, its columns as wide as their longest cell."""
    rows = [[_cell(each) for each in row] for row in (sheet.header, *sheet.rows)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(sheet.header))]
    lines = [_line(row, widths) for row in rows]
    rule = "| " + " | ".join("-" * max(width, 3) for width in widths) + " |"
    heading = [f"## {sheet.title}", ""] if sheet.title else []
    return "\n".join([*heading, lines[0], rule, *lines[1:]])


def percent(share: float | None) -> str:
    """`5.3 %` for 0.053."""
    return "not defined" if share is None else f"{100 * share:.1f} %"


def part(count: int, total: int) -> str:
    """`5.3 % (15 of 285)`."""
    return f"{percent(count / total if total else None)} ({count:,} of {total:,})"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(max(width, 3)) for cell, width in zip(cells, widths, strict=True)) + " |"


def _cell(text: str) -> str:
    """A cell is one line, and a bar in it must not end it."""
    return " ".join(text.split()).replace("|", "\\|")
