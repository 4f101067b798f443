"""The audio files of a unit, each decoded once: features of its crops, or samples, or an error for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

import numpy as np

from pipeline import audio, sources
from pipeline.audio.virtual import Audio
from pipeline.corpus import Recording, Seconds
from pipeline.errors import ErrorRow, RecordingError, VoxmillError
from pipeline.sources import Encoded
from pipeline.sources.names import unread

Buffer: TypeAlias = bytes | memoryview
Crop: TypeAlias = tuple[Seconds, Seconds | None]

Results: TypeAlias = Sequence[audio.Featurised | audio.Sampled | ErrorRow]
"""One for each crop."""

ON_DEVICE: Final = "device"
"""Where the features are made by the model's device, of samples."""


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
    features: str
    """What they are computed in, see `audio.features_of_crops`; `ON_DEVICE`: samples are kept for it."""

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
                return _results(opened, file, context=file.context)
        start, length = file.place
        return _results(memoryview(payload)[start : start + length], file, context=0)
    except RecordingError as error:
        return file.failed(error.error)
    except (VoxmillError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001
        return file.failed(ErrorRow("features", "internal", f"{type(error).__name__}: {error}"))


def _results(encoded: Audio, file: AudioFile, *, context: int) -> Results:
    if file.features == ON_DEVICE:
        return audio.samples_of_crops(encoded, file.crops, context=context)
    return audio.features_of_crops(encoded, file.crops, context=context, dtype=file.features)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of a unit's recordings, in their order."""

    parts: list[np.ndarray]
    """Features or samples of those without an error."""
    lengths: tuple[int, ...]
    """Of the part of each recording, 0 where it has an error."""
    facts: tuple[audio.Facts | None, ...]
    """What decoding found out about each; None where it has an error."""
    errors: dict[int, ErrorRow]


def made_of(encoded: Encoded, context: int, features: str, featurise_files: Featurise) -> Made:
    """Decode every audio file of a unit once, and put what comes of it to the recordings."""
    found: dict[int, audio.Featurised | audio.Sampled] = {}
    errors = dict(encoded.errors)
    groups = _by_file(encoded)
    files = [_audio_file(encoded, members, context, features) for members in groups]
    for members, results in zip(groups, featurise_files(encoded.payload, files), strict=True):
        for index, result in zip(members, results, strict=True):
            if isinstance(result, ErrorRow):
                errors[index] = _with_remedy(result, encoded.recordings[index])
            else:
                found[index] = result
    each = [found.get(index) for index in range(len(encoded.recordings))]
    return Made(
        parts=[one[0] for one in each if one],
        lengths=tuple(len(one[0]) if one else 0 for one in each),
        facts=tuple(one.facts if one else None for one in each),
        errors=errors,
    )


def _with_remedy(error: ErrorRow, recording: Recording) -> ErrorRow:
    """Add what is said of such files in a folder: a manifest's line is a row even where its audio cannot be read.

    Only once it did not decode: what a name says need not be so, and misnamed audio is heard all the same.
    """
    remedy = unread(recording.source) if (error.stage, error.type) == ("decode", "decode") else None
    return replace(error, message=f"{error.message}; {remedy}") if remedy else error


def _by_file(encoded: Encoded) -> list[list[int]]:
    """Recordings that are crops of one audio file, together: it is decoded once."""
    groups: dict[Any, list[int]] = {}
    for index, place in enumerate(encoded.slices):
        if index not in encoded.errors:
            groups.setdefault(place or ("span", index), []).append(index)
    return list(groups.values())


def _audio_file(encoded: Encoded, members: Sequence[int], context: int, features: str) -> AudioFile:
    return AudioFile(
        first=encoded.recordings[members[0]],
        crops=tuple((encoded.recordings[index].start, encoded.recordings[index].end) for index in members),
        place=encoded.slices[members[0]],
        context=context,
        features=features,
    )
