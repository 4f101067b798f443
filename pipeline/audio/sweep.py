"""One pass over a recording that feeds every crop of it its mono samples at 16 kHz."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import constants
from pipeline.audio.crops import Crop
from pipeline.audio.mixdown import Mixdown, Pick
from pipeline.audio.reader import Reader
from pipeline.audio.resample import Resampler
from pipeline.errors import RecordingError


class Sink(Protocol):
    """What collects the samples of one crop."""

    def push(self, samples: NDArray[np.float32], /) -> None:
        """Take the next (n,) at 16 kHz; the array may be reused afterwards."""
        ...


S = TypeVar("S", bound=Sink)


@dataclass(frozen=True, slots=True)
class Collected(Generic[S]):
    """What one crop got."""

    sink: S
    num_samples: int
    """Source samples from `begin` of the crop on."""
    warnings: tuple[str, ...]


def sweep(
    reader: Reader, crops: Sequence[Crop], new_sink: Callable[[], S], *, block: int | None = None
) -> list[Collected[S]]:
    """Decode once, however many crops there are, and hand each its samples.

    Crops whose mix has cancelled itself, which only their end can tell, are heard again: the loudest channel.

    Args:
        reader: the recording.
        crops: in any order; they may overlap.
        new_sink: makes what collects the samples of a crop.
        block: source samples at once, by default what fits 1 MiB; changes no result.

    Returns:
        As many as `crops`, in their order.
    """
    size = block or max(1, constants.BLOCK_VALUES // reader.channels)
    lanes = [_Lane(crop, new_sink(), Mixdown(reader.channels), reader) for crop in crops]
    _drive(reader, lanes, size)
    for index, lane in enumerate(lanes):
        channel = lane.mixdown.louder()
        if channel is not None:
            lanes[index] = _Lane(lane.crop, new_sink(), Pick(channel), reader)
            lanes[index].warnings.append(f"the channels cancel each other: channel {channel + 1} is heard")
    _drive(reader, [lane for lane in lanes if not lane.done], size)
    return [Collected(lane.sink, lane.num_samples, lane.all_warnings()) for lane in lanes]


class _Lane(Generic[S]):
    """The way from source samples to one crop's sink."""

    def __init__(self, crop: Crop, sink: S, mixdown: Mixdown | Pick, reader: Reader) -> None:
        self.crop = crop
        self.sink = sink
        self.mixdown = mixdown
        self.num_samples = 0
        self.done = False
        self.warnings: list[str] = []
        self._num_bad = 0
        self._reader = reader
        self._resampler = Resampler(reader.sample_rate)

    def push(self, block: NDArray[np.float32], position: int) -> None:
        """Take what belongs to the crop of (n, channels) starting at source sample `position`."""
        first = max(0, self.crop.begin - position)
        last = len(block) if self.crop.stop is None else max(first, self.crop.stop - position)
        clean, num_bad = _without_nonsense(block[first:last])
        self._num_bad += num_bad
        self.num_samples += len(clean)
        if self.num_samples > constants.MAX_SECONDS * self._reader.sample_rate:
            limit = f"{constants.MAX_SECONDS / 3600:.0f} h"
            raise RecordingError("decode", "too_long", f"more than {limit} in one piece: cut it into spans")
        self.sink.push(self._resampler.push(self.mixdown.mono(clean)))

    def finish(self) -> None:
        """The crop or the recording is over."""
        self.sink.push(self._resampler.flush())
        self.done = True
        truncation = self._reader.truncation() if self._reader.ended else None
        if truncation and (self.crop.stop is None or self._reader.position < self.crop.stop):
            self.warnings.append(truncation)

    def all_warnings(self) -> tuple[str, ...]:
        """One sentence each."""
        bad = f"{self._num_bad} samples are not numbers or absurdly large: taken as 0"
        return (*self.warnings, bad) if self._num_bad else tuple(self.warnings)


def _drive(reader: Reader, lanes: Sequence[_Lane[S]], size: int) -> None:
    """Read from the first crop's begin to the last one's stop, and skip long gaps."""
    waiting = sorted(lanes, key=lambda lane: lane.crop.begin, reverse=True)
    active: list[_Lane[S]] = []
    while waiting or active:
        if not active:
            _approach(reader, waiting[-1].crop.begin)
        position = reader.position
        block = reader.read(size)
        while waiting and (reader.ended or waiting[-1].crop.begin < reader.position):
            active.append(waiting.pop())
        for lane in active:
            lane.push(block, position)
            if reader.ended or (lane.crop.stop is not None and reader.position >= lane.crop.stop):
                lane.finish()
        active = [lane for lane in active if not lane.done]


def _approach(reader: Reader, begin: int) -> None:
    """Get near `begin`: by seeking back, or forward over a long gap; short gaps are decoded."""
    gap = begin - reader.position
    if gap < 0 or gap > constants.SEEK_SECONDS * reader.sample_rate:
        reader.seek(begin)


def _without_nonsense(block: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Zeros where float files hold NaN, infinity or numbers that are no amplitudes; how many samples."""
    if not block.size or max(block.max(), -block.min()) <= constants.MAX_AMPLITUDE:
        return block, 0
    sane = np.abs(block) <= constants.MAX_AMPLITUDE
    return np.where(sane, block, np.float32(0)), int((~sane.all(axis=1)).sum())
