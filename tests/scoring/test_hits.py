"""Precision, recall and F1 from counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.hits import Hits, macro_f1, micro_f1

COUNTS = st.integers(0, 50)


def test_the_ratios() -> None:
    found = Hits("speech", hits=6, false_alarms=2, misses=4)
    assert (found.precision, found.recall, found.support) == (0.75, 0.6, 10)
    assert found.f1 == pytest.approx(2 / 3)


@given(COUNTS, COUNTS, COUNTS)
def test_f1_is_the_harmonic_mean(hits: int, false_alarms: int, misses: int) -> None:
    found = Hits("x", hits, false_alarms, misses)
    if hits:
        assert found.f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))
    else:
        assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)


def test_macro_weighs_labels_and_micro_weighs_places() -> None:
    frequent, rare = Hits("a", 98, 1, 1), Hits("b", 0, 1, 1)
    assert macro_f1([frequent, rare]) == pytest.approx(98 / 99 / 2)
    assert micro_f1([frequent, rare]) == pytest.approx(0.98)
    assert macro_f1([]) == 0.0
