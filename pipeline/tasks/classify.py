"""Classification: one label for a recording, from the scores of its windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.tasks.heard import Heard, Rows, not_finite
from pipeline.tasks.labels import Labels
from pipeline.tasks.stretch import Piece, Pieces, Stretch

if TYPE_CHECKING:
    import torch

    from pipeline.models.outputs import ClassOutput

NAME: Final = "classify"
OUTPUT_VERSION: Final = 1
HEAD: Final = "classes"
OPTIONS: Final = ("top",)

HOLDS: Final = 0.5
"""Probability from which one of several labels is taken to hold."""
SCORE = pa.struct([pa.field("label", pa.string()), pa.field("score", pa.float32())])
"""One class and its probability; for a number, its name and value."""
WINDOW = pa.struct(
    [pa.field("start", pa.float64()), pa.field("end", pa.float64()), pa.field("scores", pa.list_(SCORE))]
)
"""The classes of one window; times in seconds from the start of the recording."""

COLUMNS: Final[tuple[pa.Field, ...]] = (
    pa.field("label", pa.string()),
    pa.field("score", pa.float32()),
    pa.field("scores", pa.list_(SCORE)),
    pa.field("windows", pa.list_(WINDOW)),
)
"""`label` is the class of the highest score, null for a number; all are null in a row with an error."""


@dataclass(frozen=True, slots=True)
class Classify:
    """Classification with the classes of one checkpoint."""

    labels: Labels
    top: int
    """How many classes are listed."""

    pools: ClassVar[bool] = True

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """What only this task's files have."""
        return COLUMNS

    def pieces(self, stretch: Stretch) -> Pieces:
        """What each window kept, as far as it is the row's own."""
        first, stop = stretch.own
        kept = ((max(start, first), min(end, stop)) for start, end in stretch.windows)
        return Pieces(tuple(Piece(start, end) for start, end in kept if start < end))

    def reduce(self, output: ClassOutput) -> tuple[torch.Tensor, ...]:
        """Logits (P, V) -> probabilities (P, V) float32, on the same device."""
        return (self.labels.probabilities(output.logits),)

    def rows(self, heard: Sequence[Heard | None]) -> Rows:
        """The columns of some recordings, one row each, in order; null where a recording failed before (None)."""
        errors = {i: not_finite() for i, one in enumerate(heard) if one is not None and not one.finite}
        nothing = "too short to classify"
        short = {i: (nothing,) for i, one in enumerate(heard) if one is not None and not len(one.pieces)}
        values = [
            self._row(one) if one is not None and i not in errors and i not in short else {}
            for i, one in enumerate(heard)
        ]
        columns = {f.name: pa.array([each.get(f.name) for each in values], f.type) for f in COLUMNS}
        return Rows(columns, errors, short)

    def told(self, row: Mapping[str, Any]) -> str:
        """A row in one line."""
        return "  ".join(f"{each['label']} {each['score']:.2f}" for each in row["scores"] or []) or "(too short)"

    def _row(self, heard: Heard) -> dict[str, Any]:
        (scores,) = heard.columns
        durations = heard.pieces[:, 1] - heard.pieces[:, 0]
        mean = np.average(scores.astype(np.float64), axis=0, weights=durations)
        best = self._best(mean)
        return {
            "label": best[0]["label"] if self.labels.problem != "regression" else None,
            "score": best[0]["score"],
            "scores": best,
            "windows": [
                self._window(heard.times(int(first), int(stop)), window)
                for (first, stop, _), window in zip(heard.pieces, scores, strict=True)
            ],
        }

    def _window(self, times: tuple[Seconds, Seconds], scores: NDArray[np.generic]) -> dict[str, Any]:
        return {"start": times[0], "end": times[1], "scores": self._best(scores.astype(np.float64))}

    def _best(self, scores: NDArray[np.float64]) -> list[dict[str, Any]]:
        """The highest first; numbers in the order of the checkpoint."""
        if self.labels.problem == "regression":
            order = np.arange(len(scores))
        else:
            # Of several labels at once all that hold are listed, however many were asked for.
            hold = int((scores >= HOLDS).sum()) if self.labels.problem == "multi_label_classification" else 0
            order = np.argsort(-scores, kind="stable")[: max(self.top, hold)]
        return [{"label": self.labels.names[number], "score": float(scores[number])} for number in order]


def of(checkpoint: Path, config: RunConfig) -> Classify:
    """Make the task of a checkpoint.

    Raises:
        UserError: its classes cannot be read.
    """
    return Classify(Labels.load(checkpoint), config.top)
