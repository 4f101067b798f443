"""What sources yield: groups of recordings, problems, and the encoded bytes of a unit."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.corpus import Recording
from pipeline.errors import ErrorRow

Group = tuple[Recording, ...]
"""Recordings that must share a unit: lines of one audio file, members of one compressed tar; usually one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that could not be planned: a truncated tar, a name that is no text, a link."""

    uri: str
    message: str


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
