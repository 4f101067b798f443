"""The nouns that every layer speaks: a recording, a unit, seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Seconds = float
"""Durations and times are float64 seconds, everywhere; counts are `num_samples` or `num_frames`."""

FRAMES_PER_SECOND = 50
"""The model's clock: features come to it and tokens leave it at this rate."""

WHOLE_SECONDS: Seconds = 4 * 3600.0
WHOLE_BYTES = 10**9
"""Up to both of these audio stays in one piece: a recording in one row, read at once; a group in one unit.

float32 samples of 4 h at 16 kHz are 0.9 GB, which a worker can hold. Beyond, the length must be exact, for there
it is cut.
"""

LEAST_BYTES_PER_SECOND = 100
"""A length beyond `WHOLE_SECONDS` is not believed of less: a few kilobytes of FLAC can claim weeks.

Speech at the lowest rates takes 7 times as much; digital silence may take less.
"""

MISSING_VERSIONS = ("missing", "0-missing")
"""Of audio that was not there, or closed, when it was planned: named by a manifest's line, by a link in a folder."""

SecondsFrom = Literal["header", "bitrate", "estimate"]
"""How a planned duration is known: read from the container, from its declared bit rate, or guessed from bytes."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One planned piece of audio: a file, a tar member, a manifest line, or a span of one; ends as one row."""

    id: str
    """Corpus + "/" + path below the source with extension [+ "::" + tar member] [+ "@start-end"]."""
    source: str
    """URI of the file or tar shard that holds the bytes, as fsspec opens it; never percent-encoded by us."""
    key: str
    """Path in the corpus without extension; in a tar the WebDataset key."""
    version: str
    """Size and etag or mtime of `source` when it was planned: `123-"abc"`; a read compares it."""
    recording: str
    """Id of the whole audio (file or member) that `start` and all word times count from."""
    format: str
    """Lower-case last extension without its dot: `wav`, `flac`."""
    seconds: Seconds
    """Planned duration of this row's audio; see `seconds_from`."""
    seconds_from: SecondsFrom
    size: int
    """Encoded bytes of the whole audio (file or member) in `source`."""
    offset: int = 0
    """First byte of the audio inside `source`; not 0 only in an uncompressed tar."""
    member: str | None = None
    """Name of the tar member, else None."""
    streamed: bool = False
    """True where `source` is a compressed tar: members are found by name while streaming, never by offset."""
    sample_rate: int = 0
    """Hz as the header says, 0 when planning did not see it."""
    start: Seconds = 0.0
    """Where this row's audio starts, counted from the start of `recording`."""
    end: Seconds | None = None
    """Where it ends; None means the end of the audio."""
    span: int = 0
    """Number of this span, from 0."""
    spans: int = 1
    """How many spans the recording was cut into; 1 means that it is whole and read whole."""
    reference: str | None = None
    """Reference text from a `.txt` sidecar or the `text` of a manifest line."""
    metadata: str | None = None
    """All other metadata that came along, one JSON object."""

    @property
    def missing(self) -> bool:
        """Whether the audio was not there, or closed, when it was planned."""
        return self.version in MISSING_VERSIONS


@dataclass(frozen=True, slots=True)
class Unit:
    """A bounded bundle of recordings: the atom of planning, scheduling, retry and commit."""

    name: str
    """32 hex digits: a hash of the ids and versions of its recordings, in order."""
    recordings: tuple[Recording, ...]

    @property
    def seconds(self) -> Seconds:
        """Planned seconds of audio."""
        return sum(recording.seconds for recording in self.recordings)
