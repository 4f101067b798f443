"""A stretch of one recording at the moment when heads look at it, and the pieces of it that they ask for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Piece:
    """Frames [start, stop) of a stretch that a head pools over."""

    start: int
    stop: int
    speech: int = 0
    """How many of them are speech, where that was asked."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """What a head sees of a stretch."""

    pieces: tuple[Piece, ...]
    speech: int = 0
    """Frames of speech in the stretch, in pieces or not."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames of one recording, from 0."""

    windows: tuple[tuple[int, int], ...]
    """What each window of the encoder kept; they meet."""
    own: tuple[int, int]
    """Frames that are this row's; the others are context of its span."""
    probabilities: NDArray[np.floating] | None = None
    """(T, V) of the frame labels that the task asked for."""

    @property
    def whole(self) -> Pieces:
        """All of it as one piece."""
        stop = self.windows[-1][1] if self.windows else 0
        return Pieces((Piece(0, stop),) if stop else ())
