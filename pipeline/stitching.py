"""A unit's recordings cut into windows and stretches, and what heads say of these put together again."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline import audio
from pipeline.audio import Facts, Window
from pipeline.corpus import FRAMES_PER_SECOND
from pipeline.tasks import Pieces, Stretch

LONGEST_STRETCH: Final = 600 * FRAMES_PER_SECOND
"""Frames of which an encoder's output is held at once: 10 minutes, 120 MB at full width in single precision. No segment
reaches over the end of a stretch, so this is part of what makes embeddings what they are."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one task keeps of a unit."""

    counts: tuple[int, ...]
    """Of each recording, how many rows of the columns are its: one a frame, or one a piece."""
    columns: tuple[NDArray[np.generic], ...]
    """What the task's `reduce` gave, one recording after the other."""
    pieces: NDArray[np.int32]
    """(P, 3): first frame of each piece, the frame after its last, frames of speech; none where frames count."""
    speech: tuple[int, ...]
    """Frames of speech that were found in each recording."""

    def without(self, failed: Container[int]) -> Kept:
        """The same, but nothing of these recordings."""
        left = np.concatenate(
            [np.full(count, index not in failed) for index, count in enumerate(self.counts)] or [np.empty(0, bool)]
        )
        return Kept(
            tuple(0 if index in failed else count for index, count in enumerate(self.counts)),
            tuple(column[left] for column in self.columns),
            self.pieces[left] if len(self.pieces) else self.pieces,
            tuple(0 if index in failed else frames for index, frames in enumerate(self.speech)),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Neighbouring windows of one recording, whose stitched frames heads look at."""

    recording: int
    windows: tuple[Window, ...]
    """Their frames are numbers of the unit's array."""
    first: int
    """Frame of the recording with which they begin."""
    own: tuple[int, int]
    """Frames of the recording that are its row's; the others are context."""

    def stretch(self, probabilities: NDArray[np.floating] | None) -> Stretch:
        """What a task is told of it when it chooses pieces."""
        edges = [0, *accumulate(window.keep_stop - window.keep_start for window in self.windows)]
        first, stop = (min(max(0, own - self.first), edges[-1]) for own in self.own)
        return Stretch(tuple(zip(edges[:-1], edges[1:], strict=True)), (first, stop), probabilities)


@dataclass(frozen=True, slots=True)
class Cuts:
    """All parts of a unit, one recording after the other."""

    num_recordings: int
    parts: tuple[Part, ...]
    num_frames: int
    """Of all recordings."""
    fed: int
    """Frames of all windows: what overlaps counts twice."""

    @classmethod
    def of(cls, lengths: Sequence[int], facts: Sequence[Facts | None], *, window: int, context: int) -> Cuts:
        """Cut recordings of so many frames; those without facts have failed and have no part."""
        starts = accumulate(lengths, initial=0)
        parts = [
            part
            for index, (start, length, each) in enumerate(zip(starts, lengths, facts, strict=False))
            if each is not None
            for part in _parts(
                index, start, audio.cut(length, window=window, context=context), (each.first_frame, each.stop_frame)
            )
        ]
        fed = sum(window.stop - window.start for part in parts for window in part.windows)
        return cls(len(lengths), tuple(parts), sum(lengths), fed)

    def split(self, kept: Kept) -> list[tuple[NDArray[np.generic], ...]]:
        """What a head said of the frames of each part: the inverse of `kept` where frames count."""
        lengths = [sum(window.keep_stop - window.keep_start for window in part.windows) for part in self.parts]
        edges = [0, *accumulate(lengths)]
        return [
            tuple(column[start:stop] for column in kept.columns) for start, stop in zip(edges, edges[1:], strict=False)
        ]

    def kept(self, found: Sequence[tuple[NDArray[np.generic], ...]], pieces: Mapping[int, Pieces]) -> Kept:
        """Put together what a head said.

        Args:
            found: of each part.
            pieces: number of a part -> what the head saw of it, where it pools.
        """
        counts, speech, places = [0] * self.num_recordings, [0] * self.num_recordings, []
        for number, part in enumerate(self.parts):
            counts[part.recording] += len(found[number][0])
            if number in pieces:
                speech[part.recording] += pieces[number].speech
                places += [(part.first + p.start, part.first + p.stop, p.speech) for p in pieces[number].pieces]
        columns = tuple(np.concatenate(column) for column in zip(*found, strict=True))
        return Kept(tuple(counts), columns, np.array(places, np.int32).reshape(-1, 3), tuple(speech))


def _parts(recording: int, start: int, windows: Sequence[Window], own: tuple[int, int]) -> list[Part]:
    """One part for each stretch; one without windows for a recording without frames."""
    groups: list[list[Window]] = [[]]
    for window in windows:
        if groups[-1] and window.keep_stop - groups[-1][0].keep_start > LONGEST_STRETCH:
            groups.append([])
        groups[-1].append(window)
    return [
        Part(recording, tuple(_shifted(each, start) for each in group), group[0].keep_start if group else 0, own)
        for group in groups
    ]


def _shifted(window: Window, by: int) -> Window:
    return Window(window.start + by, window.stop + by, window.keep_start + by, window.keep_stop + by)
