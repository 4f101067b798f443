from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.batching import batches

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


@pytest.mark.parametrize("budget", [0, -3])
def test_a_budget_below_one_is_refused(budget: int) -> None:
    with pytest.raises(ValueError, match=f"frame_budget must be at least 1, got {budget}"):
        batches([1], frame_budget=budget)
