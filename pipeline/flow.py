"""What happens to one unit: read, featurise, infer, rows. Start here; everything else is a detail of a line below.

No Ray: `pipeline.engine` carries these functions onto a cluster and adds nothing to their meaning.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from pipeline import sources
from pipeline.audio import FRAMES_PER_SECOND, Crop, Features, windows
from pipeline.corpus import Recording, Seconds, Unit
from pipeline.errors import ErrorRow, RecordingError, StorageFault
from pipeline.sources import Encoded

if TYPE_CHECKING:
    from pipeline.models import Model


@dataclass(frozen=True, slots=True)
class Featurised:
    """The features of one unit, packed: no padding, one recording after the other."""

    recordings: tuple[Recording, ...]
    frames: np.ndarray
    """(sum T, 160) float32 or float16, 50 frames/s."""
    facts: tuple[Facts | None, ...]
    """One a recording; None where it has an error."""
    errors: dict[int, ErrorRow]


@dataclass(frozen=True, slots=True)
class Facts:
    """What decoding found out about one recording."""

    num_frames: int
    first: Seconds
    """Where the first frame starts, counted from the start of the recording: `start` less the context of a span."""
    start: Seconds
    duration: Seconds
    sample_rate: int
    channels: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the model said about one unit, frame by frame, windows already stitched."""

    recordings: tuple[Recording, ...]
    facts: tuple[Facts | None, ...]
    errors: dict[int, ErrorRow]
    frames: pa.RecordBatch
    """sum T rows, one column for each thing that the task keeps of a frame."""
    waste: float
    """Share of the frames fed to the model that were context."""


def read(unit: Unit) -> Encoded:
    """The encoded bytes of a unit; a recording that cannot be read gets an error, a storage fault is raised."""
    return sources.read(unit)
