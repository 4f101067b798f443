"""Rows that ended with an error, by reason, with examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow.compute as pc

from pipeline.table.read import Table


@dataclass(frozen=True, slots=True)
class Example:
    """One row with an error."""

    id: str
    source: str
    message: str


@dataclass(slots=True)
class Failures:
    """All rows of one reason."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


def reason(error: Mapping[str, str | None]) -> tuple[str, str]:
    """Stage and type of the error of a row; `unknown` for what no run leaves out."""
    return error["stage"] or "unknown", error["type"] or "unknown"


def failures(table: Table, *, examples: int = 3) -> Mapping[tuple[str, str], Failures]:
    """Rows with an error by (stage, type), the most frequent first; streams over the table."""
    found: dict[tuple[str, str], Failures] = {}
    for batch in table.batches(columns=["id", "source", "error"], filter=pc.field("error").is_valid()):
        errors = batch.column("error").to_pylist()
        for row, error in enumerate(errors):
            alike = found.setdefault(reason(error), Failures())
            alike.count += 1
            if len(alike.examples) < examples:
                id, source = (batch.column(name)[row].as_py() for name in ("id", "source"))
                alike.examples.append(Example(id, source, error["message"]))
    return dict(sorted(found.items(), key=lambda item: (-item[1].count, item[0])))


def format_failures(task: str, found: Mapping[tuple[str, str], Failures]) -> str:
    """The reasons as text, each with its examples."""
    total = sum(reason.count for reason in found.values())
    lines = [f"{task}: {total:,} row{'s' * (total != 1)} with an error"]
    for (stage, type), reason in found.items():
        lines.append(f"  {stage}.{type}  {reason.count:,}")
        lines += [f"      {each.id}: {each.message}" for each in reason.examples]
        if reason.count > len(reason.examples):
            lines.append(f"      … and {reason.count - len(reason.examples):,} more")
    return "\n".join(lines)
