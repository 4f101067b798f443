"""How well stretches of time are labelled, judged on a grid of short frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import FRAMES_PER_SECOND, Seconds
from pipeline.scoring.hits import Hits

BACKGROUND = "none"
"""Label of the frames that lie in no interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A labelled stretch, start <= time < end, in seconds from the start of the recording; stretches may overlap."""

    start: Seconds
    end: Seconds
    label: str


@dataclass(frozen=True, slots=True)
class Stretches:
    """The intervals of one recording beside those of its reference."""

    start: Seconds
    """Where what is judged starts: 0, but for a part of a recording."""
    duration: Seconds
    given: Sequence[Interval]
    wanted: Sequence[Interval]


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Frames of 20 ms, a frame having the labels of the intervals that its middle lies in."""

    frames: int
    exact: int
    """Frames with exactly the reference's labels."""
    per_label: tuple[Hits, ...]
    """Sorted by label, without the background; counted in frames."""
    background: Hits
    """The frames without any label."""

    @property
    def accuracy(self) -> float | None:
        """Share of the frames with exactly the right labels; None without frames."""
        return self.exact / self.frames if self.frames else None


def frame_scores(recording: Stretches, *, background: str = BACKGROUND) -> FrameScores:
    """Compare the intervals of one recording with its reference's, frame by frame.

    Args:
        recording: both lists of intervals; what lies outside of the recording is left out.
        background: label of unlabelled time; intervals with this label count as unlabelled.
    """
    count = _frame(recording.duration)
    given, wanted = (_masks(each, recording.start, count, background) for each in (recording.given, recording.wanted))
    nowhere = np.zeros(count, dtype=bool)
    per_label = {
        label: _hits(label, given.get(label, nowhere), wanted.get(label, nowhere)) for label in {*given, *wanted}
    }
    wrong = nowhere.copy()
    for label in per_label:
        wrong |= given.get(label, nowhere) != wanted.get(label, nowhere)
    behind = per_label.pop(background)
    return FrameScores(count, count - int(wrong.sum()), tuple(per_label[label] for label in sorted(per_label)), behind)


def total_frames(recordings: Iterable[FrameScores], *, background: str = BACKGROUND) -> FrameScores:
    """The scores of many recordings as those of one long one."""
    frames, exact = 0, 0
    sums: dict[str, NDArray[np.int64]] = {background: np.zeros(3, dtype=np.int64)}
    for each in recordings:
        frames, exact = frames + each.frames, exact + each.exact
        for one in (*each.per_label, each.background):
            sums[one.label] = sums.get(one.label, 0) + np.array([one.hits, one.false_alarms, one.misses])
    totals = {label: Hits(label, *map(int, sums[label])) for label in sums}
    behind = totals.pop(background)
    return FrameScores(frames, exact, tuple(totals[label] for label in sorted(totals)), behind)


def _masks(intervals: Sequence[Interval], start: Seconds, count: int, background: str) -> dict[str, NDArray[np.bool_]]:
    """Label -> (count,) which frames have it; the background is where no other label is."""
    found: dict[str, NDArray[np.bool_]] = {}
    taken = np.zeros(count, dtype=bool)
    for each in intervals:
        if each.label != background:
            inside = slice(_frame(each.start - start), _frame(each.end - start))
            found.setdefault(each.label, np.zeros(count, dtype=bool))[inside] = True
            taken[inside] = True
    return {**found, background: ~taken}


def _frame(moment: Seconds) -> int:
    """Number of the first frame whose middle is not before a moment; frames count from 0."""
    # Rounded to the nanosecond, for 0.29 * 50 is a little less than 14.5.
    return max(math.ceil(round(moment * FRAMES_PER_SECOND - 0.5, 7)), 0)


def _hits(label: str, given: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> Hits:
    right = int((given & wanted).sum())
    return Hits(label, right, int(given.sum()) - right, int(wanted.sum()) - right)
