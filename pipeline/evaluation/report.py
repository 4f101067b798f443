"""What an evaluation found: figures for programs, a page for people, pictures."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.evaluation.markdown import Sheet, render
from pipeline.quantities import counted
from pipeline.storage.paths import join, redact
from pipeline.storage.put import probe_write, put


class Scores(ABC):
    """How far the rows of one task are from their references."""

    __slots__ = ()

    @property
    def left_out(self) -> dict[str, int]:
        """Why further rows could not be compared -> how many."""
        return {}

    @property
    def notes(self) -> list[str]:
        """What makes the figures mean less than they seem to, in sentences without an end."""
        return []

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain values."""

    @abstractmethod
    def sheets(self) -> list[Sheet]:
        """Tables for people, the figures first."""

    def plots(self) -> dict[str, bytes]:
        """File name -> PNG."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The scores of one task of a table."""

    output: str
    name: str
    """Folder of the rows below the output."""
    task: str
    """`transcribe`, `classify`, `frames` or `embed`."""
    model: dict[str, str]
    """`name` and `hash` of the checkpoint."""
    reference: str
    """Where the references are from."""
    rows: int
    """Committed rows of the task."""
    left_out: dict[str, int]
    """Why rows could not be compared -> how many; all other rows were."""
    pending_units: int
    """Planned but not committed: their recordings are no rows yet."""
    unmatched_lines: int
    """Lines of a manifest with references that are no row's."""
    scores: Scores
    """Depends on the task; see the modules of `pipeline.evaluation` that are called like the tasks."""

    @property
    def compared(self) -> int:
        """Rows that the scores are of."""
        return self.rows - sum(self.left_out.values())

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `scores.json` has them."""
        return {
            "output": redact(self.output),
            "name": self.name,
            "task": self.task,
            "model": self.model,
            "reference": self.reference,
            "rows": self.rows,
            "compared": self.compared,
            "left_out": self.left_out,
            "pending_units": self.pending_units,
            "unmatched_lines": self.unmatched_lines,
            "notes": self.scores.notes,
            "scores": self.scores.to_json(),
        }

    def markdown(self, pictures: Sequence[str] = ()) -> str:
        """The page for people.

        Args:
            pictures: names of files beside the page to show at its end.
        """
        where = f"{redact(self.output).rstrip('/')}/{self.name}"
        model = f"{self.model['name']} {self.model['hash'][:4]}…"
        head = f"# Scores of {where}\n\n{self.task} · model {model} · references: {self.reference}"
        shown = [f"![{each.removesuffix('.png').replace('_', ' ')}]({each})" for each in pictures]
        notes = [f"Note: {' '.join(each.split())}." for each in self.scores.notes]
        sheets = map(render, (self._counts(), *self.scores.sheets()))
        return "\n\n".join([head, *notes, *sheets, *shown]) + "\n"

    def write(self, folder: str) -> list[str]:
        """Write `scores.json`, `scores.md` and the pictures, in place of what is there.

        Args:
            folder: on any storage; local folders are made.

        Returns:
            Names of the files.

        Raises:
            UserError, StorageFault: it cannot be written.
        """
        probe_write(folder)
        plots = self.scores.plots()
        figures = json.dumps(self.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        page = self.markdown(sorted(plots))
        files = {"scores.json": figures.encode(), "scores.md": page.encode(), **plots}
        for name, data in files.items():
            put(join(folder, name), data)
        return list(files)

    def _counts(self) -> Sheet:
        rows = [("in the table", f"{self.rows:,}"), ("compared", f"{self.compared:,}")]
        rows += [(why, f"{count:,}") for why, count in self.left_out.items() if count]
        if self.pending_units:
            rows.append(("pending", counted(self.pending_units, "unit")))
        if self.unmatched_lines:
            rows.append(("lines of the manifest that are no row's", f"{self.unmatched_lines:,}"))
        return Sheet("", ("rows", "count"), tuple(rows))
