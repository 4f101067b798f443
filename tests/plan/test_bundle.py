"""Bundling keeps the order, holds its bounds and loses nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus import WHOLE_BYTES, WHOLE_SECONDS
from pipeline.plan.bundle import (
    MIN_UNIT_SECONDS,
    SECONDS_A_UNIT_COSTS,
    UNIT_RECORDINGS,
    bundle,
    default_unit_seconds,
)

ROW = st.tuples(
    st.one_of(st.floats(0, 90), st.floats(0, 20_000)),
    st.one_of(st.integers(0, 999), st.integers(0, 2 * 10**9)),
)
GROUPS = st.lists(st.lists(ROW, min_size=1, max_size=5), max_size=30)


def arrays(groups: list[list[tuple[float, int]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [(seconds, size, number) for number, group in enumerate(groups) for seconds, size in group]
    seconds, sizes, numbers = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(seconds, float), np.array(sizes, np.int64), np.array(numbers, np.int64)


@given(groups=GROUPS, unit_seconds=st.floats(1, 8000), unit_bytes=st.integers(1, 10**9))
@settings(max_examples=300, deadline=None)
def test_order_bounds_and_groups(groups: list[list[tuple[float, int]]], unit_seconds: float, unit_bytes: int) -> None:
    seconds, sizes, numbers = arrays(groups)
    units = bundle(seconds, sizes, numbers, unit_seconds=unit_seconds, unit_bytes=unit_bytes)
    assert len(units) == len(seconds)
    if len(units) == 0:
        return
    assert units[0] == 0
    assert set(np.diff(units).tolist()) <= {0, 1}
    for unit in range(int(units[-1]) + 1):
        rows = units == unit
        within = seconds[rows].sum() <= unit_seconds * (1 + 1e-9) and sizes[rows].sum() <= unit_bytes
        assert within or len(set(numbers[rows].tolist())) == 1
    for group in range(len(groups)):
        rows = numbers == group
        whole = seconds[rows].sum() <= WHOLE_SECONDS and sizes[rows].sum() <= WHOLE_BYTES
        parts = units[rows]
        assert not whole or len(set(parts.tolist())) == 1
        for unit in set(parts.tolist()):
            part = rows & (units == unit)
            small = seconds[part].sum() <= WHOLE_SECONDS * (1 + 1e-9) and sizes[part].sum() <= WHOLE_BYTES
            assert small or part.sum() == 1


def test_a_unit_is_filled_before_the_next_begins() -> None:
    seconds = np.full(100, 10.0)
    units = bundle(seconds, np.ones(100, np.int64), np.arange(100), unit_seconds=100, unit_bytes=10**9)
    assert units.tolist() == np.repeat(np.arange(10), 10).tolist()


def test_bytes_bound_alone() -> None:
    units = bundle(np.zeros(5), np.full(5, 40, np.int64), np.arange(5), unit_seconds=100, unit_bytes=100)
    assert units.tolist() == [0, 0, 1, 1, 2]


def test_a_long_group_is_cut_and_its_rest_may_be_filled_up() -> None:
    seconds = np.array([3600.0] * 6 + [10.0])
    groups = np.array([0] * 6 + [1])
    units = bundle(seconds, np.ones(7, np.int64), groups, unit_seconds=7205, unit_bytes=10**9)
    assert units.tolist() == [0, 0, 0, 0, 1, 1, 2]
    units = bundle(seconds, np.ones(7, np.int64), groups, unit_seconds=7210, unit_bytes=10**9)
    assert units.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_empty_files_do_not_all_share_a_unit() -> None:
    count = 3 * UNIT_RECORDINGS
    units = bundle(np.zeros(count), np.zeros(count, np.int64), np.arange(count), unit_seconds=60, unit_bytes=10)
    assert np.bincount(units).tolist() == [UNIT_RECORDINGS] * 3


def test_groups_count_for_the_most_recordings_of_a_unit() -> None:
    groups = np.repeat(np.arange(4), UNIT_RECORDINGS // 2 - 1)
    units = bundle(np.zeros(len(groups)), np.zeros(len(groups), np.int64), groups, unit_seconds=60, unit_bytes=10)
    assert np.bincount(units).tolist() == [UNIT_RECORDINGS - 2] * 2


@given(total=st.floats(1_000, 1_000_000), factor=st.floats(0.5, 2))
def test_no_other_length_of_units_costs_less(total: float, factor: float) -> None:
    def cost(unit_seconds: float) -> float:
        return SECONDS_A_UNIT_COSTS * total / unit_seconds + unit_seconds

    best = default_unit_seconds(total)
    assert cost(best) <= cost(max(best * factor, MIN_UNIT_SECONDS)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (0.0, 60.0),
        (300.0, 60.0),
        (4800.0, 240.0),
        (480_000.0, 2400.0),
        (360_000_000.0, 7200.0),
    ],
)
def test_units_grow_with_the_corpus(total: float, expected: float) -> None:
    assert default_unit_seconds(total) == expected
