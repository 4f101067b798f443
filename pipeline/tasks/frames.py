"""Frame labels: which label holds when, from the probabilities of 20 ms frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.config import RunConfig
from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.errors import UserError
from pipeline.tasks.heard import Heard, Rows, not_finite
from pipeline.tasks.labels import Labels
from pipeline.tasks.spans import Rule, spans
from pipeline.tasks.stretch import Pieces, Stretch

if TYPE_CHECKING:
    import torch

    from pipeline.models.outputs import FrameOutput

NAME: Final = "frames"
OUTPUT_VERSION: Final = 1
HEAD: Final = "frames"
OPTIONS: Final = ("threshold", "release", "min_duration", "min_gap", "background", "probabilities")

SPAN = pa.struct(
    [
        pa.field("start", pa.float64()),
        pa.field("end", pa.float64()),
        pa.field("label", pa.string()),
        pa.field("score", pa.float32()),
    ]
)
"""Where a label holds: times in seconds from the start of the recording, and the mean of its probability there."""

BACKGROUNDS: Final = ("silence", "none", "background", "non-speech", "nonspeech", "noise")
"""Names of the class that no span is made of, where `--background` names none; the first that there is."""
MOST_PROBABILITIES: Final = 3600 * FRAMES_PER_SECOND
"""Frames of a row of which all probabilities are kept, an hour: longer rows would make units too large to commit."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Frame labels with the classes of one checkpoint."""

    labels: Labels
    background: str | None
    rule: Rule
    probabilities: bool
    """Whether the probabilities of all frames are a column too."""

    pools: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """What only this task's files have; null in a row with an error."""
        spans_column = pa.field("frames", pa.list_(SPAN))
        return (spans_column, pa.field("probabilities", self._raw)) if self.probabilities else (spans_column,)

    @property
    def _raw(self) -> pa.DataType:
        return pa.list_(pa.list_(pa.float16(), len(self.labels.names)))

    def pieces(self, stretch: Stretch) -> Pieces:
        """All of it: the head scores every frame."""
        return stretch.whole

    def reduce(self, output: FrameOutput) -> tuple[torch.Tensor, ...]:
        """Logits (T, V) -> probabilities (T, V) float16, on the same device."""
        return (self.labels.probabilities(output.logits).half(),)

    def speech(self, probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
        """(T, V) -> (T,) how probable it is that anything but the background holds."""
        if self.background is None:
            likeliest: NDArray[np.float32] = probabilities.max(axis=1).astype(np.float32)
            return likeliest
        none: NDArray[np.float32] = probabilities[:, self.labels.names.index(self.background)].astype(np.float32)
        return 1 - none

    def rows(self, heard: Sequence[Heard | None]) -> Rows:
        """The columns of some recordings, one row each, in order; null where a recording failed before (None)."""
        errors = {i: not_finite() for i, one in enumerate(heard) if one is not None and not one.finite}
        sound = [None if i in errors else one for i, one in enumerate(heard)]
        columns = {"frames": pa.array([None if one is None else self._spans(one) for one in sound], pa.list_(SPAN))}
        warnings: dict[int, tuple[str, ...]] = {}
        if self.probabilities:
            long = {i for i, one in enumerate(sound) if one is not None and len(_own(one)) > MOST_PROBABILITIES}
            message = f"longer than {MOST_PROBABILITIES // FRAMES_PER_SECOND // 60} minutes: no column of probabilities"
            warnings = {i: (message,) for i in long}
            kept = [None if one is None or i in long else _own(one) for i, one in enumerate(sound)]
            columns["probabilities"] = _lists(kept, self._raw)
        return Rows(columns, errors, warnings)

    def told(self, row: Mapping[str, Any]) -> str:
        """A row in one line."""
        return "  ".join(f"{s['start']:.2f}-{s['end']:.2f} {s['label']}" for s in row["frames"]) or "(no label)"

    def _spans(self, heard: Heard) -> list[dict[str, Any]]:
        (column,) = heard.columns
        whole = column.astype(np.float32)
        first, last = heard.own or (0, len(whole))
        # Spans are found with the context, and then cut: one that lies across a seam is in both rows, not in none.
        found = [
            (max(start, first), min(stop, last), number)
            for number, name in enumerate(self.labels.names)
            if name != self.background
            for start, stop in spans(whole[:, number], self.rule)
            if start < last and first < stop
        ]
        return [
            {
                **dict(zip(("start", "end"), heard.times(start, stop), strict=True)),
                "label": self.labels.names[number],
                "score": float(whole[start:stop, number].mean()),
            }
            for start, stop, number in sorted(found)
        ]


def _own(heard: Heard) -> NDArray[np.generic]:
    """Probabilities of the frames that are the row's."""
    (probabilities,) = heard.columns
    return probabilities if heard.own is None else probabilities[slice(*heard.own)]


def _lists(rows: Sequence[NDArray[np.generic] | None], type: pa.ListType) -> pa.Array:
    """(T, V) of each row as a column, without a Python object for each number: those of 2 h take 100 MB and more."""
    lengths = [0 if row is None else len(row) for row in rows]
    values = np.concatenate([np.empty(0, np.float16), *(row.reshape(-1) for row in rows if row is not None)])
    frames = pa.FixedSizeListArray.from_arrays(pa.array(values), type=type.value_type)
    missing = pa.array([row is None for row in rows], pa.bool_())
    return pa.ListArray.from_arrays(pa.array([0, *accumulate(lengths)], pa.int32()), frames, type=type, mask=missing)


def of(checkpoint: Path, config: RunConfig) -> Frames:
    """Make the task of a checkpoint.

    Raises:
        UserError: its classes cannot be read, or the background is none of them.
    """
    labels = Labels.load(checkpoint)
    names = {name.lower(): name for name in reversed(labels.names)}
    background = config.background or next((names[each] for each in BACKGROUNDS if each in names), None)
    if background is not None and background not in labels.names:
        raise UserError(
            f"--background {background}: the classes of {checkpoint} are {', '.join(labels.names)}; name one of them"
        )
    rule = Rule(
        threshold=config.threshold,
        release=config.release,
        min_frames=max(1, round(config.min_duration * FRAMES_PER_SECOND)),
        min_gap=round(config.min_gap * FRAMES_PER_SECOND),
    )
    return Frames(labels, background, rule, config.probabilities)
