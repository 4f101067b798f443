"""From a file or tar member and its first bytes to a planned recording."""

from __future__ import annotations

from pipeline.corpus import Recording
from pipeline.sources.durations import measure
from pipeline.sources.headers import Measured
from pipeline.sources.labels import Labels
from pipeline.sources.mpeg import id3_end
from pipeline.sources.names import Place, extension, without_extension
from pipeline.storage.listing import Entry
from pipeline.storage.read import read_range

HEAD = 16 * 1024
"""Bytes from the start of audio that planning looks at."""


def from_file(entry: Entry, place: Place, *, head: bytes, labels: Labels) -> Recording:
    """Plan a file that is one recording."""
    path = place.below(entry.uri)
    format = extension(path)
    measured = measure_file(entry, head, format)
    whole = place.id(path)
    return Recording(
        id=whole,
        source=entry.uri,
        key=without_extension(path),
        version=entry.version,
        recording=whole,
        format=format,
        seconds=measured.seconds,
        seconds_from=measured.seconds_from,
        size=entry.size,
        sample_rate=measured.sample_rate,
        reference=labels.reference,
        metadata=labels.metadata,
    )


def measure_file(entry: Entry, head: bytes, format: str) -> Measured:
    """Measure a file; one that begins with a long tag (a picture in an MP3) is looked at behind it."""
    start = id3_end(head)
    if len(head) < start < entry.size:
        head = read_head(entry.uri, start, entry.size)
        return measure(head, entry.size - start, format)
    return measure(head, entry.size, format)


def read_head(uri: str, start: int, size: int) -> bytes:
    """Read the first bytes of audio; b"" where they cannot be had, for that is found out when the unit is read."""
    try:
        return read_range(uri, start, min(HEAD, size - start))
    except (EOFError, FileNotFoundError, PermissionError, IsADirectoryError):
        return b""
