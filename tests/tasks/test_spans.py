"""Spans of a label: hysteresis, gaps and blips, beside a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tasks.spans import Rule, joined, spans

RULE = Rule(threshold=0.5, release=0.25, min_frames=2, min_gap=2)


def plain(values: list[float], rule: Rule) -> list[tuple[int, int]]:
    """The same in the order of time, frame by frame."""
    runs, start, peak = [], None, 0.0
    for frame, value in enumerate([*values, 0.0]):
        if value >= rule.release:
            start, peak = (frame, value) if start is None else (start, max(peak, value))
        elif start is not None:
            if peak >= rule.threshold:
                runs.append([start, frame])
            start = None
    closed: list[list[int]] = []
    for run in runs:
        if closed and run[0] - closed[-1][1] < rule.min_gap:
            closed[-1][1] = run[1]
        else:
            closed.append(run)
    return [(a, b) for a, b in closed if b - a >= rule.min_frames]


@given(
    st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.375, 0.5, 0.875]), max_size=40),
    st.integers(1, 5),
    st.integers(0, 5),
    st.sampled_from([(0.5, 0.25), (0.5, 0.5), (0.875, 0.125)]),
)
def test_spans_are_those_of_a_plain_loop(values, min_frames, min_gap, levels):
    rule = Rule(*levels, min_frames=min_frames, min_gap=min_gap)
    assert spans(np.array(values, np.float32), rule) == plain(values, rule)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], []),
        ([0.3, 0.3, 0.3], []),  # never reaches the threshold
        ([0.3, 0.6, 0.3, 0.1], [(0, 3)]),  # begins and ends at the release
        ([0.6, 0.6, 0.0, 0.6, 0.6], [(0, 5)]),  # a gap of one is closed
        ([0.6, 0.6, 0.0, 0.0, 0.6, 0.6], [(0, 2), (4, 6)]),
        ([0.0, 0.6, 0.0, 0.0], []),  # a blip
        ([0.6, 0.0, 0.6], [(0, 3)]),  # blips that are near each other are none
    ],
)
def test_spans_by_hand(values, found):
    assert spans(np.array(values, np.float32), RULE) == found


@given(st.lists(st.integers(1, 6), max_size=12), st.integers(0, 8))
def test_joining_loses_no_frame_and_leaves_no_short_gap(steps, gap):
    edges = np.cumsum(steps).tolist()
    runs = list(zip(edges[::2], edges[1::2], strict=False))
    found = joined(runs, gap)
    assert all(later[0] - earlier[1] >= gap for earlier, later in zip(found, found[1:], strict=False))
    assert {f for a, b in runs for f in range(a, b)} <= {f for a, b in found for f in range(a, b)}
    assert not runs or (found[0][0], found[-1][1]) == (runs[0][0], runs[-1][1])
