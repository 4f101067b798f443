"""A recording's text and confidence from its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.text import Word, confidence_of, text_of


def test_the_text_is_the_words_with_a_space_between() -> None:
    said = [Word("one", 0.1, 0.3, 0.9), Word("two", 0.4, 0.5, 0.8)]
    assert text_of(said) == "one two"
    assert text_of(said, separator="") == "onetwo"
    assert text_of([]) == ""


def test_long_words_weigh_more() -> None:
    said = [Word("one", 0.0, 0.3, 0.9), Word("two", 0.4, 0.5, 0.5)]
    assert confidence_of(said) == pytest.approx((0.3 * 0.9 + 0.1 * 0.5) / 0.4)


def test_no_words_no_confidence() -> None:
    assert confidence_of([]) is None


def test_words_clipped_to_a_point_count_alike() -> None:
    assert confidence_of([Word("a", 1.0, 1.0, 0.2), Word("b", 1.0, 1.0, 0.4)]) == pytest.approx(0.3)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_a_mean_lies_between_its_parts(confidences: list[float]) -> None:
    said = [Word("w", i, i + 0.1 * (i + 1), c) for i, c in enumerate(confidences)]
    mean = confidence_of(said)
    assert mean is not None
    assert min(confidences) - 1e-12 <= mean <= max(confidences) + 1e-12


def test_the_middle_of_a_word() -> None:
    assert Word("w", 1.0, 1.5, 1.0).middle == 1.25
