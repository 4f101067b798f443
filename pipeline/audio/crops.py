"""Seconds that somebody asks for, in samples of the recording."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.corpus import FRAMES_PER_SECOND, Seconds


@dataclass(frozen=True, slots=True)
class Crop:
    """A stretch of a recording; samples are the source's, counted from its start.

    Samples [begin, stop) are heard, [start, end) were asked for; the rest is context.
    """

    begin: int
    start: int
    end: int | None
    """None is the end of the recording, also below."""
    stop: int | None

    def first_frame(self, sample_rate: int) -> int:
        """Which stacked frame of what is heard lies at `start`."""
        return (self.start - self.begin) // sample_rate * FRAMES_PER_SECOND

    def stop_frame(self, sample_rate: int, *, num_samples: int, num_frames: int) -> int:
        """The stacked frame after the last that starts before `end`.

        Args:
            sample_rate: the source's.
            num_samples: how many were heard, from `begin` on.
            num_frames: stacked frames that they gave.
        """
        if self.end is None or self.begin + num_samples <= self.end:
            return num_frames
        asked = -(-(self.end - self.start) * FRAMES_PER_SECOND // sample_rate)
        return min(num_frames, self.first_frame(sample_rate) + asked)


def crop_of(start: Seconds, end: Seconds | None, *, context: int, sample_rate: int) -> Crop:
    """Round to the nearest samples and add whole seconds of context where the recording has them.

    Whole seconds keep the frames of a crop that starts on a whole second on the grid of the whole recording,
    at every sample rate.

    Args:
        start: negative counts as 0.
        end: None is the end of the recording.
        context: seconds on each side.
        sample_rate: Hz of the source.
    """
    start = max(0.0, start)
    before = min(context, int(start)) * sample_rate
    first = round(start * sample_rate)
    last = None if end is None else round(end * sample_rate)
    return Crop(first - before, first, last, None if last is None else last + context * sample_rate)
