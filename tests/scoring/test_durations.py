"""Errors by duration."""

from __future__ import annotations

from pipeline.scoring.durations import DurationGroup, by_duration


def test_groups_hold_their_lower_end() -> None:
    found = by_duration([0.0, 0.99, 1.0, 7200.0], [1, 0, 2, 0], [10, 10, 4, 0])
    assert found == (
        DurationGroup(0, 1, 2, 1, 20),
        DurationGroup(1, 2, 1, 2, 4),
        DurationGroup(3600, None, 1, 0, 0),
    )
    assert [each.rate for each in found] == [0.05, 0.5, None]


def test_without_recordings_there_are_no_groups() -> None:
    assert by_duration([], [], []) == ()
