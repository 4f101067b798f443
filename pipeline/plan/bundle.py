"""Bundle recordings into units, bounded by seconds and by bytes. Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pipeline.corpus import WHOLE_BYTES, WHOLE_SECONDS, Seconds

MIN_UNIT_SECONDS: Seconds = 60.0
MAX_UNIT_SECONDS: Seconds = 7200.0
"""2 hours: 230 MB of 16-bit samples or of single-precision frames, half as much of half-precision ones."""
SECONDS_A_UNIT_COSTS: Seconds = 12.0
"""What the engine spends on a unit, in audio that is transcribed meanwhile: 0.05 s on 2 CPUs, at 250 x real time."""
UNIT_BYTES = 256_000_000
UNIT_RECORDINGS = 20_000
"""Most recordings in a unit, so that a million empty files are not one unit."""


def default_unit_seconds(total: Seconds) -> Seconds:
    """Seconds of audio in a unit, 1 min to 2 h: they grow with the root of what is to be planned; nothing else counts.

    Each of n units costs the engine's share, and the last one its own length, while other workers have none left:
    the sum is least where both parts are equal.
    """
    return min(max(math.sqrt(SECONDS_A_UNIT_COSTS * total), MIN_UNIT_SECONDS), MAX_UNIT_SECONDS)


def bundle(
    seconds: np.ndarray, sizes: np.ndarray, groups: np.ndarray, *, unit_seconds: Seconds, unit_bytes: int
) -> np.ndarray:
    """Unit number of each recording; the order of the recordings is kept, so each unit is one run of them.

    A unit holds at most `unit_seconds` and `unit_bytes`, unless a single recording or group is larger than
    that alone. A group stays in one unit, unless it is longer than 4 h or larger than 1 GB: then it is cut
    between recordings.

    Args:
        seconds: (N,) seconds of each recording.
        sizes: (N,) bytes that each adds to its unit.
        groups: (N,) group of each; equal neighbours belong together.
        unit_seconds: bound on the seconds of a unit.
        unit_bytes: bound on the bytes of a unit.

    Returns:
        (N,) int64, 0 for the first unit, each next recording in the same or the following unit.
    """
    numbers = np.empty(len(seconds), dtype=np.int64)
    unit = -1
    full_seconds, full_bytes, full_count = float("inf"), 0, 0
    for start, stop, more_seconds, more_bytes in _pieces(seconds, sizes, groups):
        fits = (
            full_seconds + more_seconds <= unit_seconds
            and full_bytes + more_bytes <= unit_bytes
            and full_count + stop - start <= UNIT_RECORDINGS
        )
        if not fits:
            unit, full_seconds, full_bytes, full_count = unit + 1, 0.0, 0, 0
        numbers[start:stop] = unit
        full_seconds, full_bytes = full_seconds + more_seconds, full_bytes + more_bytes
        full_count += stop - start
    return numbers


def _pieces(seconds: np.ndarray, sizes: np.ndarray, groups: np.ndarray) -> Iterator[tuple[int, int, Seconds, int]]:
    """Runs of recordings that must share a unit: (start, stop, seconds, bytes)."""
    if len(seconds) == 0:
        return
    starts = np.flatnonzero(np.concatenate(([True], groups[1:] != groups[:-1])))
    stops = np.append(starts[1:], len(seconds))
    totals = np.add.reduceat(seconds, starts), np.add.reduceat(sizes, starts)
    for start, stop, long, large in zip(
        starts.tolist(), stops.tolist(), totals[0].tolist(), totals[1].tolist(), strict=True
    ):
        if stop - start > 1 and (long > WHOLE_SECONDS or large > WHOLE_BYTES):
            yield from _cut_group(seconds[start:stop].tolist(), sizes[start:stop].tolist(), first=start)
        else:
            yield start, stop, long, large


def _cut_group(seconds: list[float], sizes: list[int], *, first: int) -> Iterator[tuple[int, int, Seconds, int]]:
    start, long, large = 0, 0.0, 0
    for index, (more_seconds, more_bytes) in enumerate(zip(seconds, sizes, strict=True)):
        full = long + more_seconds > WHOLE_SECONDS or large + more_bytes > WHOLE_BYTES
        if full and index > start:
            yield first + start, first + index, long, large
            start, long, large = index, 0.0, 0
        long, large = long + more_seconds, large + more_bytes
    yield first + start, first + len(seconds), long, large
