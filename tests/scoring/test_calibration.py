"""Expected calibration error, compared with its definition label by label."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.calibration import BINS, calibration

# Not on the edges of 15 bins, where a rounded edge decides.
SCORES = st.integers(0, 1000).map(lambda n: (n + 0.123) / 1001)


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=1, max_size=40))
def test_the_error_is_that_of_the_definition(labels: list[tuple[float, bool]]) -> None:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for score, right in labels:
        bins.setdefault(math.floor(score * BINS), []).append((score, right))
    gaps = [abs(sum(score for score, _ in each) - sum(right for _, right in each)) for each in bins.values()]
    found = calibration([score for score, _ in labels], [right for _, right in labels])
    assert found.error == pytest.approx(sum(gaps) / len(labels))
    assert sum(each.count for each in found.bins) == len(labels)


def test_four_in_five_right_at_four_fifths_is_calibrated() -> None:
    assert calibration([0.8] * 5, [True] * 4 + [False]).error == pytest.approx(0.0)
    assert calibration([0.8] * 5, [True] * 5).error == pytest.approx(0.2)


def test_the_ends_have_their_bins() -> None:
    found = calibration([0.0, 1.0, 0.2], [False, True, False], bins=5)
    assert [each.count for each in found.bins] == [2, 0, 0, 0, 1]
    assert (found.bins[0].low, found.bins[0].high) == (0.0, 0.2)
    assert found.bins[4].share_right == 1.0


def test_without_scores_there_is_no_error() -> None:
    assert calibration([], []).error is None
