"""What is asked of a head: which stretches of the encoder's frames it sees, and what is kept of what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from torch import Tensor

from pipeline.models.outputs import ClassOutput, EmbeddingOutput, FrameOutput

Slice: TypeAlias = tuple[int, int]
"""First frame and the frame after the last."""
Scored: TypeAlias = FrameOutput | ClassOutput | EmbeddingOutput
Reduced: TypeAlias = tuple[np.ndarray, ...]


class Window(Protocol):
    """Frames [start, stop) of an array are fed to the encoder, those of [keep_start, keep_stop) are kept."""

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def stop(self) -> int: ...  # noqa: D102
    @property
    def keep_start(self) -> int: ...  # noqa: D102
    @property
    def keep_stop(self) -> int: ...  # noqa: D102


Stretch: TypeAlias = Sequence[Window]
"""Windows in order of time whose kept frames meet: what a head sees of one recording, or of a part of it."""
Pieces: TypeAlias = Callable[[int, Mapping[str, Reduced]], Sequence[Slice]]
"""Number of a stretch, and what is known of it from other wants -> slices of its kept frames, from 0."""


@dataclass(frozen=True, slots=True)
class Want:
    """What is wanted of one head for every stretch."""

    head: str
    """Which model's."""
    reduce: Callable[[Scored], tuple[Tensor, ...]]
    """What the head says, on its device -> what is worth sending to the host: tensors with a row for each frame that
    it scores, or for each piece."""
    pieces: Pieces | None = None
    """What of a stretch the head sees, each piece by itself; None is all of it, as one."""
    after: str | None = None
    """The want whose result `pieces` looks at."""
