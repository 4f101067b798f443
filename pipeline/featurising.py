"""One audio file of a unit, decoded once: features of its crops, or an error for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pipeline import audio, sources
from pipeline.corpus import Recording, Seconds
from pipeline.errors import ErrorRow, RecordingError, VoxmillError

Buffer: TypeAlias = bytes | memoryview
Crop: TypeAlias = tuple[Seconds, Seconds | None]

Results: TypeAlias = Sequence[audio.Featurised | ErrorRow]
"""One for each crop."""


@dataclass(frozen=True, slots=True)
class AudioFile:
    """One audio file, and which of its crops are recordings."""

    first: Recording | None
    """One of these recordings; asked for only where the file is read by seeking."""
    crops: tuple[Crop, ...]
    """Start and end of each recording, seconds; None is the end of the audio."""
    place: tuple[int, int] | None
    """First byte and number of bytes in the unit's payload; None where the file is read by seeking."""
    context: int
    """Whole seconds heard on both sides of a crop of a file that is read by seeking."""
    dtype: str
    """What the features are computed in, see `audio.features_of_crops`."""

    def failed(self, error: ErrorRow) -> Results:
        """The same error for every crop."""
        return [error] * len(self.crops)


class Featurise(Protocol):
    """What turns audio files into features, one after the other."""

    def __call__(self, payload: Buffer, files: Sequence[AudioFile], /) -> Iterator[Results]:
        """Results of each file, in order."""
        ...


def here(payload: Buffer, files: Sequence[AudioFile], /) -> Iterator[Results]:
    """Results of each file, computed in this process."""
    for file in files:
        yield featurise_file(payload, file)


def featurise_file(payload: Buffer, file: AudioFile) -> Results:
    """Features of the crops of one file, or errors; the one place where any exception ends as rows.

    Raises:
        StorageFault, UserError: what is to be read by seeking cannot be read now.
        MemoryError: as it comes.
    """
    try:
        if file.place is None:
            assert file.first is not None
            with sources.open_audio(file.first) as opened:
                return audio.features_of_crops(opened, file.crops, context=file.context, dtype=file.dtype)
        start, length = file.place
        return audio.features_of_crops(memoryview(payload)[start : start + length], file.crops, dtype=file.dtype)
    except RecordingError as error:
        return file.failed(error.error)
    except (VoxmillError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        return file.failed(ErrorRow("features", "internal", f"{type(error).__name__}: {error}"))
