"""The samples of recordings, decoded once where memory allows; what cannot be read is counted, not hidden."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline import audio, sources
from pipeline.audio import SAMPLE_RATE
from pipeline.corpus import Recording, Unit
from pipeline.errors import ErrorRow, RecordingError

Samples = NDArray[np.float32]

READ_BYTES = 64_000_000
"""Encoded bytes that are fetched together."""
_BYTES_A_SECOND = 4 * SAMPLE_RATE
Key = TypeVar("Key")


class Room:
    """Memory for arrays that are wanted again; all that is kept for a training shares it, and so do its threads.

    Args:
        size: bytes.
    """

    def __init__(self, size: int) -> None:
        self.left = size
        self._lock = threading.Lock()

    def keep(self, kept: dict[Key, Samples], key: Key, array: Samples) -> None:
        """Put an array to those that are kept, if there is room for it."""
        with self._lock:
            if key not in kept and array.nbytes <= self.left:
                kept[key] = array
                self.left -= array.nbytes


class Waveforms:
    """Samples of recordings by number.

    They are kept as float32: 16 bits would put noise into bands that a recording of 8 kHz leaves empty.

    Args:
        recordings: in the order of their numbers.
        room: where samples are kept.
    """

    def __init__(self, recordings: Sequence[Recording], *, room: Room) -> None:
        self.room = room
        self._recordings = recordings
        self._kept: dict[int, Samples] = {}
        self.errors: dict[int, ErrorRow] = {}
        """Number of a recording -> why it has no samples."""

    def fill(self) -> None:
        """Decode what memory has room for, so that errors show before any work."""
        for group in self._groups():
            for number, samples in zip(group, self._decode(group), strict=True):
                self._keep(number, samples)

    def samples(self, number: int) -> Samples | None:
        """(N,) at 16 kHz; None for a recording that cannot be read."""
        if number in self.errors:
            return None
        if number not in self._kept:
            (samples,) = self._decode([number])
            self._keep(number, samples)
            return samples
        return self._kept[number]

    def _groups(self) -> Iterator[list[int]]:
        """Numbers of recordings that are fetched together, as long as their samples fit."""
        group: list[int] = []
        size, room = 0, self.room.left
        for number, each in enumerate(self._recordings):
            room -= round(each.seconds * _BYTES_A_SECOND)
            if room < 0:
                break
            if group and size + each.size > READ_BYTES:
                yield group
                group, size = [], 0
            group.append(number)
            size += each.size
        if group:
            yield group

    def _keep(self, number: int, samples: Samples | None) -> None:
        if samples is not None:
            self.room.keep(self._kept, number, samples)

    def _decode(self, group: Sequence[int]) -> list[Samples | None]:
        encoded = sources.read(Unit("", tuple(self._recordings[number] for number in group)))
        found: list[Samples | None] = []
        for place, number in enumerate(group):
            try:
                found.append(_samples(encoded, place))
            except RecordingError as error:
                self.errors[number] = error.error
                found.append(None)
        return found


def _samples(encoded: sources.Encoded, place: int) -> Samples:
    recording, where = encoded.recordings[place], encoded.slices[place]
    if place in encoded.errors:
        error = encoded.errors[place]
        raise RecordingError(error.stage, error.type, error.message)
    if where is None:
        with sources.open_audio(recording) as file:
            return audio.decode(file, start=recording.start, end=recording.end).samples
    blob = memoryview(encoded.payload)[where[0] : where[0] + where[1]]
    return audio.decode(blob, start=recording.start, end=recording.end).samples
