"""Batches of an epoch: every example once, within the budget, alike in length, and the same each time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.batches import epoch_batches, share

LENGTHS = st.lists(st.integers(0, 60), max_size=60)


@given(LENGTHS, st.integers(1, 200), st.integers(0, 5))
def test_every_example_with_frames_is_in_one_batch(lengths: list[int], budget: int, epoch: int) -> None:
    found = epoch_batches(lengths, frame_budget=budget, seed=1, epoch=epoch)
    seen = sorted(index for batch in found for index in batch)
    assert seen == [index for index, length in enumerate(lengths) if length > 0]
    assert all(sum(lengths[index] for index in batch) <= budget or len(batch) == 1 for batch in found)


def test_epochs_differ_and_repeat() -> None:
    lengths = list(range(1, 100))
    first, again, second = (epoch_batches(lengths, frame_budget=300, seed=3, epoch=epoch) for epoch in (0, 0, 1))
    assert first == again
    assert first != second


def test_examples_of_a_batch_are_alike_in_length() -> None:
    lengths = np.random.default_rng(0).integers(10, 500, 400).tolist()
    found = epoch_batches(lengths, frame_budget=2000, seed=0, epoch=0)
    spread = np.mean([np.ptp([lengths[index] for index in batch]) for batch in found])
    assert spread < 60


@given(st.integers(1, 30), st.integers(1, 5))
def test_workers_get_equally_many_batches_and_together_all(count: int, workers: int) -> None:
    planned = [(number,) for number in range(count)]
    parts = [share(planned, rank=rank, workers=workers) for rank in range(workers)]
    assert len({len(part) for part in parts}) == 1
    assert {batch for part in parts for batch in part} == set(planned)
    assert sum(map(len, parts)) < count + workers
