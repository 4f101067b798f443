"""What a worker takes grows with the largest unit and with the models, by what was measured."""

from __future__ import annotations

import pytest

from pipeline.engine.memory import Largest, Needs, extent, needs
from pipeline.plan import UnitRef

MB = 10**6


def unit(seconds: float, size: int, count: int = 1) -> UnitRef:
    return UnitRef("u", 1, 0, 0, count, seconds, size)


def test_the_largest_counts_by_each_measure() -> None:
    assert Largest.of([Largest(70, 5.0), Largest(3, 90.0), Largest(1, 1.0)]) == Largest(70, 90.0)
    assert Largest.of([]) == Largest(0, 0.0)


def believed(unit: UnitRef, recording_memory: int = 8000 * MB) -> float:
    return extent(unit, held=0, recording_memory=recording_memory).seconds


def test_a_length_that_the_bytes_are_not_enough_for_is_not_believed() -> None:
    assert believed(unit(500_000.0, MB)) == 14_400
    assert believed(unit(50_000.0, 10 * MB)) == 50_000
    assert believed(unit(14_000.0, 0)) == 14_000


def test_no_more_is_believed_than_decoding_may_give_back() -> None:
    assert believed(unit(266_667.0, 800 * MB)) == 24 * 3600
    assert believed(unit(266_667.0, 800 * MB, count=2)) == 48 * 3600
    assert believed(unit(266_667.0, 800 * MB), 320 * MB) == 10_000


MEASURED = {
    "1 h of short recordings": (
        Largest(2 * MB, 200.0),
        [7 * MB],
        {"read": 147, "features": 171, "model": 529, "commit": 132},
    ),
    "a recording of 4 h": (Largest(137 * MB, 14_400.0), [7 * MB], {"read": 240, "commit": 131}),
    "weights of 2.3 GB": (Largest(2 * MB, 200.0), [2300 * MB], {"model": 3100}),
}
"""Largest unit, weights, and stage -> the MB of its worker in `tests/benchmarks/results/memory.txt`, and of
`tests/benchmarks/real_size.py`."""


@pytest.mark.parametrize("case", MEASURED)
def test_no_estimate_is_half_or_twice_what_was_measured(case: str) -> None:
    largest, weights, measured = MEASURED[case]
    found = needs(largest, weights, gpu=False)
    for stage, size in measured.items():
        assert size * MB / 1.5 < getattr(found, stage) < size * MB * 1.5


def test_samples_for_the_device_take_what_they_are_and_its_actor_the_frames_too() -> None:
    here, there = (needs(Largest(0, 1000.0), [0], gpu=False, on_device=each) for each in (False, True))
    assert there.features - here.features == 2 * 1000 * (64_000 - 32_000)
    assert there.model - here.model == 1000 * 32_000


def test_who_hands_encoded_bytes_to_a_decoder_holds_them_too() -> None:
    small, large = (needs(Largest(size, 60.0), [0], gpu=False) for size in (0, 800 * MB))
    assert (large.read - small.read, large.features - small.features) == (800 * MB, 800 * MB)


def test_teams_have_the_memory_of_their_own_models() -> None:
    found = needs(Largest(), [1000 * MB, 3000 * MB], gpu=True)
    assert found.models[1] - found.models[0] == pytest.approx(2400 * MB)
    assert found.model == sum(found.models)
    assert Needs(read=1, features=5, commit=2, models=(3, 4)).largest == 5
