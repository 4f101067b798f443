"""Encoded audio to the encoder's features, in blocks: only log-mel frames grow with the recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.audio.constants import SHORTEST
from pipeline.audio.crops import Crop, crop_of
from pipeline.audio.decode import check_heard, warnings_of
from pipeline.audio.fbank import FrameStream
from pipeline.audio.normalise import normalise_in_place, stack
from pipeline.audio.reader import Reader
from pipeline.audio.seams import quietest
from pipeline.audio.sweep import Collected, sweep
from pipeline.audio.virtual import Audio
from pipeline.corpus import FRAMES_PER_SECOND, Seconds
from pipeline.errors import ErrorRow, RecordingError


@dataclass(frozen=True, slots=True)
class Facts:
    """What decoding found out about one crop."""

    start: Seconds
    """Where it starts in the recording: whole source samples over the source's rate."""
    duration: Seconds
    """Whole source samples over the source's rate, without context."""
    sample_rate: int
    """Hz of the source."""
    channels: int
    """Of the source."""
    warnings: tuple[str, ...]
    first_frame: int
    """The stacked frame of the features that lies at `start`; the ones before it are context."""
    stop_frame: int
    """The stacked frame after the crop's last; the ones from it on are context."""
    quiet_start: Seconds
    """The quietest moment within 1 s of the crop's start, the same for every crop that overlaps it.

    It is `start` where no context was heard.
    """
    quiet_end: Seconds
    """The same of its end."""


class Featurised(NamedTuple):
    """Features of one crop with its context."""

    features: NDArray[np.float32]
    """(T, 160), 50 frames a second, normalised over all that is in them."""
    facts: Facts


def features_of_crops(
    audio: Audio,
    crops: Sequence[tuple[Seconds, Seconds | None]],
    *,
    context: int = 0,
    dtype: DTypeLike = np.float32,
    block: int | None = None,
) -> tuple[Featurised | ErrorRow, ...]:
    """Features of several stretches of one recording, decoded once; each is normalised over itself.

    Args:
        audio: encoded; a file is read by seeking, so a span of a long one costs what the span costs.
        crops: (start, end) in seconds, in any order; they may overlap. None is the end of the recording. On a whole
            second the frames lie on the grid of the whole recording.
        context: whole seconds on both sides of each.
        dtype: what the arithmetic runs in, float32 or float64.
        block: source samples decoded at once; changes no result.

    Returns:
        As many as `crops`, in their order; an error row for a crop in which nothing is to be heard.

    Raises:
        RecordingError: where the recording as a whole is at fault.
    """
    with Reader(audio) as reader:
        stretches = [crop_of(start, end, context=context, sample_rate=reader.sample_rate) for start, end in crops]
        heard = sweep(reader, stretches, partial(FrameStream, dtype), block=block)
        return tuple(_featurise(*pair, reader) for pair in zip(stretches, heard, strict=True))


def _too_short(num_frames: int, seconds: Seconds) -> tuple[str, ...]:
    if num_frames:
        return ()
    return (f"too short to hear a word: {1000 * seconds:.1f} ms, where a frame takes {1000 * SHORTEST:.0f} ms",)


def _featurise(crop: Crop, heard: Collected[FrameStream], reader: Reader) -> Featurised | ErrorRow:
    try:
        check_heard(heard, crop, reader)
    except RecordingError as error:
        return error.error
    frames = heard.sink.frames()
    num_frames = len(frames) // 2
    rate, heard_until = reader.sample_rate, crop.begin + heard.num_samples
    end = heard_until if crop.end is None else min(crop.end, heard_until)
    first_frame = min(num_frames, crop.first_frame(rate))
    stop_frame = crop.stop_frame(rate, num_samples=heard.num_samples, num_frames=num_frames)
    quiet_start = quietest(frames, first_frame) if first_frame else first_frame
    quiet_stop = quietest(frames, stop_frame) if stop_frame < num_frames else stop_frame
    normalise_in_place(frames)
    facts = Facts(
        start=crop.start / rate,
        duration=(end - crop.start) / rate,
        sample_rate=rate,
        channels=reader.channels,
        warnings=(*warnings_of(heard, crop, reader), *_too_short(num_frames, (end - crop.start) / rate)),
        first_frame=first_frame,
        stop_frame=stop_frame,
        quiet_start=crop.start / rate + (quiet_start - first_frame) / FRAMES_PER_SECOND,
        quiet_end=end / rate + (quiet_stop - stop_frame) / FRAMES_PER_SECOND,
    )
    return Featurised(stack(frames), facts)
