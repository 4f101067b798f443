"""What reading a unit yields: the encoded bytes of its recordings, and which of them could not be had."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.corpus import Recording
from pipeline.errors import ErrorRow


@dataclass(frozen=True, slots=True)
class Encoded:
    """The recordings of one unit with their encoded audio, every file held once."""

    recordings: tuple[Recording, ...]
    payload: bytes | memoryview
    """All audio files (or tar members) of the unit, one behind the other."""
    slices: tuple[tuple[int, int] | None, ...]
    """(start, length) in `payload` of the audio of each recording; those of one file name the same slice.

    None: the recording is a span of a longer one and read by seeking (`open_audio`), or it failed.
    """
    errors: dict[int, ErrorRow]
    """Number of the recording in `recordings` -> why its bytes are not here."""
