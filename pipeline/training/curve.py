"""The course of a training, one row a step: CSV for programs, PNG for people."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

CSV, PNG = "curve.csv", "curve.png"
SMOOTHED = 50
"""Points that the line of the training loss has at least; each is a mean of its steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step."""

    step: int
    """Steps done, from 1."""
    epoch: float
    """Epochs done, with their fraction."""
    learning_rate: float
    loss: float
    gradient: float
    """Norm before it was shortened."""
    validation_loss: float | None = None
    """Where there was a validation after this step."""
    score: float | None = None
    """Of the same validation."""


_NAMES = tuple(field.name for field in fields(Row))


class Curve:
    """Rows in a file; what an earlier run wrote beyond its last checkpoint is dropped.

    Args:
        folder: where `curve.csv` and `curve.png` lie.
        metric: what the score is called.
        steps: rows of an earlier run that are kept.
    """

    def __init__(self, folder: Path, *, metric: str, steps: int) -> None:
        self._path, self._picture, self._metric = folder / CSV, folder / PNG, metric
        self.rows = [row for row in read(self._path) if row.step <= steps] if steps else []
        draft = folder / f".{CSV}"
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*_NAMES[:-1], metric])
            writer.writerows(map(_written, self.rows))
        draft.replace(self._path)

    def add(self, row: Row) -> None:
        """Write one more row, at once."""
        self.rows.append(row)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(_written(row))

    def draw(self) -> None:
        """Draw loss and score over epochs."""
        # Loaded late: it takes a second, and only the first worker draws.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(*_smooth(self.rows), label="training loss", color="tab:blue")
        judged = [row for row in self.rows if row.score is not None]
        if judged:
            epochs = [row.epoch for row in judged]
            losses = [math.nan if row.validation_loss is None else row.validation_loss for row in judged]
            axes.plot(epochs, losses, "--", label="validation loss", color="tab:blue")
            other = axes.twinx()
            scores = [math.nan if row.score is None else row.score for row in judged]
            other.plot(epochs, scores, ".-", label=self._metric, color="tab:red")
            other.set_ylabel(self._metric.replace("_", " "), color="tab:red")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss", color="tab:blue")
        axes.legend(loc="upper right")
        figure.savefig(self._picture, dpi=120)


def read(path: Path) -> list[Row]:
    """Rows of a curve; none where there is no file. A last line that a kill cut short is left out."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [_parsed(line) for line in list(csv.reader(whole))[1:]]


def _parsed(line: Sequence[str]) -> Row:
    values: list[Any] = [int(line[0]), *(float(each) if each else None for each in line[1:])]
    return Row(**dict(zip(_NAMES, values, strict=True)))


def _written(row: Row) -> list[str]:
    return ["" if value is None else repr(value) for value in astuple(row)]


def _smooth(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """Epochs and mean losses of as many steps together as leave at least `SMOOTHED` points."""
    size = max(1, len(rows) // SMOOTHED)
    groups = [rows[first : first + size] for first in range(0, len(rows), size)]
    means = [math.fsum(row.loss for row in group) / len(group) for group in groups]
    return [group[-1].epoch for group in groups], means
