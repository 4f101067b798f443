"""What sources yield: groups of recordings, problems, and the encoded bytes of a unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.corpus import MISSING_VERSIONS, Recording, Seconds
from pipeline.errors import ErrorRow

Group = tuple[Recording, ...]
"""Recordings that must share a unit: lines of one audio file, members of one compressed tar; usually one."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a source that could not be planned: a truncated tar, a name that is no text, a link."""

    uri: str
    message: str
    again: tuple[str, ...] = ()
    """Names, as in `Unchanged`, of what is planned in spite of it: the next listing looks there again."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A file, tar or manifest line of which the plan has all recordings at this version; it was not opened."""

    name: str
    """Id of the recording; of a tar, what the ids of its members begin with."""
    uri: str
    rows: int
    """Rows that the plan has of it."""


Content = str | tuple[str, Seconds, Seconds | None]
"""What a row is made of, see `content_of`."""

RowsPlanned = Callable[[str, Content], int]
"""Name (as in `Unchanged`) and content -> rows that a finished look has planned of it; 0: it must be looked at."""


def content_of(version: str, start: Seconds, end: Seconds | None) -> Content:
    """What tells a row of the same id from what it was: the version of its audio and, of a part, its stretch.

    A line of a manifest may name another stretch under its own id; what is not there has none.
    """
    whole = (start == 0.0 and end is None) or version in MISSING_VERSIONS
    return version if whole else (version, start, end)


def nothing_known(name: str, content: Content) -> int:
    """Say that everything must be looked at."""
    return 0


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
