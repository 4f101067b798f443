"""Classification: one label, several labels, numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.scoring.classes import average_precision, confusion, label_sets, number_errors
from pipeline.scoring.hits import Hits, macro_f1

LABELS = st.sampled_from(["no", "yes", "maybe"])


def test_rows_are_references() -> None:
    found = confusion(["yes", "yes", "no"], ["yes", "no", "no"])
    assert found.labels == ("no", "yes")
    assert found.counts.tolist() == [[1, 0], [1, 1]]
    assert found.accuracy == pytest.approx(2 / 3)
    assert found.per_label == (Hits("no", 1, 1, 0), Hits("yes", 1, 0, 1))


@given(st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=30))
def test_counts_are_those_of_counting(pairs: list[tuple[str, str]]) -> None:
    found = confusion([r for r, _ in pairs], [p for _, p in pairs])
    assert found.accuracy == pytest.approx(sum(r == p for r, p in pairs) / len(pairs))
    for each in found.per_label:
        assert each.hits == sum(r == p == each.label for r, p in pairs)
        assert each.false_alarms == sum(p == each.label != r for r, p in pairs)
        assert each.misses == sum(r == each.label != p for r, p in pairs)


def test_a_label_that_is_only_given_counts_in_the_macro_f1() -> None:
    found = confusion(["yes", "yes"], ["yes", "maybe"])
    assert macro_f1(found.per_label) == pytest.approx((2 / 3 + 0) / 2)


def test_nothing_has_no_accuracy() -> None:
    assert confusion([], []).accuracy is None


def test_sets_of_labels() -> None:
    found = label_sets([{"speech", "music"}, {"noise"}, set()], [{"speech"}, {"noise"}, {"noise"}])
    assert (found.recordings, found.exact) == (3, 1)
    assert found.per_label == (Hits("music", 0, 0, 1), Hits("noise", 1, 1, 0), Hits("speech", 1, 0, 0))
    assert found.exact_share == pytest.approx(1 / 3)


@given(st.lists(st.tuples(LABELS, LABELS), max_size=20))
def test_sets_of_one_label_are_single_labels(pairs: list[tuple[str, str]]) -> None:
    sets = label_sets([{r} for r, _ in pairs], [{p} for _, p in pairs])
    single = confusion([r for r, _ in pairs], [p for _, p in pairs])
    assert sets.per_label == single.per_label
    assert sets.exact_share == single.accuracy


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=20))
def test_average_precision_is_that_of_every_threshold(scored: list[tuple[int, bool]]) -> None:
    assume(any(right for _, right in scored))
    thresholds = [score for score, right in scored if right]
    given_at = [[right for score, right in scored if score >= threshold] for threshold in thresholds]
    wanted = sum(sum(each) / len(each) for each in given_at) / len(given_at)
    found = average_precision([score for score, _ in scored], [right for _, right in scored])
    assert found == pytest.approx(wanted)


def test_average_precision_of_a_known_case() -> None:
    # Right at ranks 1, 3 or 4 (equal scores, counted at 4) and 5: 1, 2 of 4, 3 of 5.
    assert average_precision([0.9, 0.8, 0.7, 0.7, 0.1], [True, False, True, False, True]) == pytest.approx(0.7)


def test_numbers() -> None:
    found = number_errors([1.0, 2.0, 3.0], [1.5, 2.0, 2.0])
    assert found.mean_absolute == pytest.approx(0.5)
    assert found.root_mean_square == pytest.approx(np.sqrt(1.25 / 3))
    # Covariance 0.25, variances 1 and 0.0833.
    assert found.correlation == pytest.approx(0.25 / np.sqrt(1 * 0.25 / 3))


def test_numbers_that_do_not_vary_have_no_correlation() -> None:
    assert number_errors([2.0, 2.0], [1.0, 3.0]).correlation is None
    assert number_errors([2.0], [3.0]).mean_absolute == 1.0
