"""Pairs and cosines."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring.trials import cosines, pairs


@given(st.integers(0, 12))
def test_every_pair_comes_once(count: int) -> None:
    first, second = pairs(count)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == list(itertools.combinations(range(count), 2))


def test_of_many_some_are_drawn_evenly() -> None:
    first, second = pairs(1000, most=20_000)
    assert 19_000 < len(first) <= 20_000
    assert (first < second).all()
    assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(first)
    seen = np.bincount(np.concatenate([first, second]), minlength=1000)
    # Each of 1,000 is in 40 pairs on average; 6 deviations of a binomial count around that.
    assert abs(seen - seen.mean()).max() < 6 * math.sqrt(40)


def test_the_same_pairs_are_drawn_again() -> None:
    assert np.array_equal(pairs(100, most=50), pairs(100, most=50))


def test_cosines_are_those_of_the_formula() -> None:
    vectors = np.random.default_rng(0).normal(size=(200, 7)).astype(np.float32)
    first, second = pairs(200)
    found = cosines(vectors, first, second)
    assert len(found) == 19_900
    for place in (0, 8191, 8192, 19_899):
        a, b = vectors[first[place]].tolist(), vectors[second[place]].tolist()
        wanted = sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
        assert found[place] == pytest.approx(wanted, abs=1e-6)


def test_no_direction_is_like_nothing() -> None:
    assert cosines(np.array([[0, 0], [1, 0]], np.float32), np.array([0]), np.array([1])).tolist() == [0.0]
