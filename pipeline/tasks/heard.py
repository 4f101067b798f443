"""What a model said of one row's audio, and where that lies in its recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.corpus import FRAMES_PER_SECOND, Seconds
from pipeline.errors import ErrorRow

DECIMALS: Final = 6
NO_PIECES = np.empty((0, 3), np.int32)


@dataclass(frozen=True, slots=True)
class Heard:
    """What the task kept of one row's audio."""

    columns: tuple[NDArray[np.generic], ...]
    """What `reduce` gave: a row for each frame, context included, or for each piece."""
    pieces: NDArray[np.int32] = field(default_factory=lambda: NO_PIECES)
    """(P, 3): first frame of each piece, the frame after its last, and how many of its frames are speech."""
    speech: int = 0
    """Frames of speech found, in pieces or not."""
    own: tuple[int, int] | None = None
    """Frames [first, stop) that are this row's; None is all of them, and the others are context."""
    offset: Seconds = 0.0
    """Time of the start of the first frame, counted from the start of the recording."""
    start: Seconds = 0.0
    """First moment that is this row's: no word time is earlier; words whose middle is belong to the span before."""
    audio_end: Seconds | None = None
    """Where the audio ends, counted from the start of the recording: no time is later; None: unknown."""
    end: Seconds | None = None
    """First moment that is the next span's; None for the last span and for a whole recording."""
    own_end: Seconds | None = None
    """Where the row's own audio ends; None: with all of it. Words are shared out at quiet moments near a seam, which
    `start`, `end` and `audio_end` tell; frames at the seam itself."""

    @property
    def finite(self) -> bool:
        """Whether the model gave numbers everywhere."""
        return all(bool(np.isfinite(column).all()) for column in self.columns if column.dtype.kind == "f")

    def times(self, first: int, stop: int) -> tuple[Seconds, Seconds]:
        """Start and end of frames [first, stop) from the start of the recording, within the row's own audio."""
        ends = (self.own_end, self.audio_end, float("inf"))
        latest = next(each for each in ends if each is not None)
        earliest = self.offset + (self.own[0] if self.own else 0) / FRAMES_PER_SECOND
        # To the microsecond: frame 7 is 0.14, wherever its span begins.
        start, end = (round(self.offset + frame / FRAMES_PER_SECOND, DECIMALS) for frame in (first, stop))
        return min(max(round(earliest, DECIMALS), start), latest), min(end, latest)


@dataclass(frozen=True, slots=True)
class Rows:
    """The task's columns for some recordings, in their order."""

    columns: dict[str, pa.Array]
    """One array for each of the task's columns."""
    errors: dict[int, ErrorRow] = field(default_factory=dict)
    """Faults found here, by position; all columns are null there."""
    warnings: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """What was odd but is no fault, by position."""


def not_finite() -> ErrorRow:
    """The error of a recording for which the model gave no numbers."""
    return ErrorRow("model", "not_finite", "the model's output is not a number in some frames; try --dtype float32")
