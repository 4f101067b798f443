from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.batching import batches, rounded, waste

LENGTHS = st.lists(st.integers(1, 2000), max_size=60)
BUDGETS = st.integers(1, 5000)


@given(LENGTHS, BUDGETS)
def test_every_document_is_in_exactly_one_batch_with_its_length(lengths: list[int], budget: int) -> None:
    result = batches(lengths, frame_budget=budget)
    assert sorted(index for batch in result for index in batch.indices) == list(range(len(lengths)))
    for batch in result:
        assert batch.lengths == tuple(lengths[index] for index in batch.indices)


@given(LENGTHS, BUDGETS)
def test_only_a_document_alone_exceeds_the_budget(lengths: list[int], budget: int) -> None:
    for batch in batches(lengths, frame_budget=budget):
        assert batch.indices
        assert batch.num_frames <= budget or len(batch.indices) == 1


@given(LENGTHS, BUDGETS)
def test_documents_are_sorted_longest_first_and_stable(lengths: list[int], budget: int) -> None:
    order = [index for batch in batches(lengths, frame_budget=budget) for index in batch.indices]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@given(LENGTHS, BUDGETS)
def test_no_two_neighbouring_batches_would_fit_into_one(lengths: list[int], budget: int) -> None:
    result = batches(lengths, frame_budget=budget)
    for batch, following in zip(result, result[1:], strict=False):
        assert batch.num_frames + following.lengths[0] > budget


@given(LENGTHS, BUDGETS)
def test_the_order_of_equal_documents_alone_depends_on_the_order_given(lengths: list[int], budget: int) -> None:
    forwards = [batch.lengths for batch in batches(lengths, frame_budget=budget)]
    backwards = [batch.lengths for batch in batches(lengths[::-1], frame_budget=budget)]
    assert forwards == backwards


@given(st.integers(1, 200_000))
def test_a_rounded_size_adds_less_than_a_block_or_one_32nd(frames: int) -> None:
    assert frames <= rounded(frames) <= frames + max(127, frames // 32)
    assert rounded(rounded(frames)) == rounded(frames)
    assert rounded(frames) % 128 == 0


@pytest.mark.parametrize(("budget", "count"), [(1024, 8), (4096, 32), (8192, 64), (32768, 128), (2**20, 288)])
def test_there_are_few_sizes_up_to_a_budget(budget: int, count: int) -> None:
    assert len({rounded(frames) for frames in range(1, budget + 1)}) == count


@given(LENGTHS, BUDGETS)
def test_filled_batches_hold_the_same_documents_and_have_few_sizes(lengths: list[int], budget: int) -> None:
    plain, filled = (batches(lengths, frame_budget=budget, **how) for how in ({}, {"size_of": rounded}))
    assert [batch.indices for batch in filled] == [batch.indices for batch in plain]
    for batch in filled:
        assert batch.num_frames == sum(batch.laid) == sum(batch.lengths) + batch.filler
        assert batch.num_frames in (budget, rounded(sum(batch.lengths)))
        assert batch.num_frames <= budget or len(batch.indices) == 1


@given(st.lists(LENGTHS, max_size=40))
def test_sizes_do_not_become_more_with_more_units(units: list[list[int]]) -> None:
    sizes = {batch.num_frames for unit in units for batch in batches(unit, frame_budget=4000, size_of=rounded)}
    # 31 multiples of 128, and the budget.
    assert len(sizes) <= 32


@pytest.mark.parametrize("budget", [4096, 8192, 32768])
@pytest.mark.parametrize("recordings", [6, 12, 60, 280])
def test_little_of_what_is_computed_for_librispeech_is_filler(speech: Path, budget: int, recordings: int) -> None:
    with open(speech / "librispeech.csv", newline="") as stream:
        lengths = [round(50 * float(row["seconds"])) for row in csv.DictReader(stream)]
    units = [lengths[first : first + recordings] for first in range(0, len(lengths), recordings)]
    planned = [batch for unit in units for batch in batches(unit, frame_budget=budget, size_of=rounded)]
    assert 0 < waste(planned) <= 0.03
    assert len({batch.num_frames for batch in planned}) <= 20
    assert waste(batches(lengths, frame_budget=budget)) == 0


def test_nothing_computed_is_nothing_wasted() -> None:
    assert waste([]) == 0.0


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_below_one_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match=f"frame_budget must be at least 1, got {budget}"):
        batches([1], frame_budget=budget)
