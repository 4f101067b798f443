"""Encoded audio to the encoder's features, in blocks: only log-mel frames grow with the recording.

Or to samples, of which a device makes the features; what is to be known of seams is found here all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.audio.constants import FRAME_LENGTH, FRAME_SHIFT, SHORTEST, STACK
from pipeline.audio.crops import Crop, crop_of
from pipeline.audio.decode import check_heard, warnings_of
from pipeline.audio.fbank import FrameStream, log_mel, num_stacked
from pipeline.audio.normalise import normalise_in_place, stack
from pipeline.audio.reader import Reader
from pipeline.audio.samples import Samples, SampleStream, as_floats
from pipeline.audio.seams import quietest, within_reach
from pipeline.audio.sweep import Collected, S, sweep
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


class Sampled(NamedTuple):
    """Samples of one crop with its context."""

    samples: Samples
    facts: Facts


Made = TypeVar("Made")
LogMel = Callable[[int, int], NDArray[np.float32]]
"""Stacked frames from one up to another -> their (n, 80) before normalisation."""


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
    return _of_crops(audio, crops, context, partial(FrameStream, dtype), _features, block)


def samples_of_crops(
    audio: Audio, crops: Sequence[tuple[Seconds, Seconds | None]], *, context: int = 0, block: int | None = None
) -> tuple[Sampled | ErrorRow, ...]:
    """Samples of several stretches of one recording, and the facts that `features_of_crops` finds.

    Args:
        audio: as there.
        crops: as there.
        context: as there.
        block: as there.

    Raises:
        RecordingError: where the recording as a whole is at fault.
    """
    return _of_crops(audio, crops, context, SampleStream, _samples, block)


def _of_crops(
    audio: Audio,
    crops: Sequence[tuple[Seconds, Seconds | None]],
    context: int,
    new_sink: Callable[[], S],
    make: Callable[[Crop, Collected[S], Reader], Made],
    block: int | None,
) -> tuple[Made | ErrorRow, ...]:
    with Reader(audio) as reader:
        stretches = [crop_of(start, end, context=context, sample_rate=reader.sample_rate) for start, end in crops]
        heard = sweep(reader, stretches, new_sink, block=block)
        return tuple(_made(make, *pair, reader) for pair in zip(stretches, heard, strict=True))


def _made(
    make: Callable[[Crop, Collected[S], Reader], Made], crop: Crop, heard: Collected[S], reader: Reader
) -> Made | ErrorRow:
    try:
        check_heard(heard, crop, reader)
    except RecordingError as error:
        return error.error
    return make(crop, heard, reader)


def _features(crop: Crop, heard: Collected[FrameStream], reader: Reader) -> Featurised:
    frames = heard.sink.frames()
    facts = _facts(crop, heard, reader, len(frames) // STACK, lambda first, stop: frames[STACK * first : STACK * stop])
    normalise_in_place(frames)
    return Featurised(stack(frames), facts)


def _samples(crop: Crop, heard: Collected[SampleStream], reader: Reader) -> Sampled:
    samples = heard.sink.samples()

    def frames(first: int, stop: int) -> NDArray[np.float32]:
        begin, end = STACK * first * FRAME_SHIFT, (STACK * stop - 1) * FRAME_SHIFT + FRAME_LENGTH
        return log_mel(as_floats(samples[begin:end]), dtype=np.float64)

    return Sampled(samples, _facts(crop, heard, reader, num_stacked(len(samples)), frames))


def _too_short(num_frames: int, seconds: Seconds) -> tuple[str, ...]:
    if num_frames:
        return ()
    return (f"too short to hear a word: {1000 * seconds:.1f} ms, where a frame takes {1000 * SHORTEST:.0f} ms",)


def _facts(crop: Crop, heard: Collected[S], reader: Reader, num_frames: int, log_mel_of: LogMel) -> Facts:
    rate, heard_until = reader.sample_rate, crop.begin + heard.num_samples
    end = heard_until if crop.end is None else min(crop.end, heard_until)
    first_frame = min(num_frames, crop.first_frame(rate))
    stop_frame = crop.stop_frame(rate, num_samples=heard.num_samples, num_frames=num_frames)

    def quiet(near: int) -> int:
        first, stop = within_reach(near, num_frames)
        return first + quietest(log_mel_of(first, stop), near - first)

    quiet_start = quiet(first_frame) if first_frame else first_frame
    quiet_stop = quiet(stop_frame) if stop_frame < num_frames else stop_frame
    return Facts(
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
