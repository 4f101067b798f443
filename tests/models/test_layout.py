from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.layout import Packed, Run

LENGTHS = st.lists(st.integers(1, 9), max_size=12).map(tuple)


@given(LENGTHS)
def test_frames_carry_the_number_of_their_document(lengths: tuple[int, ...]) -> None:
    layout = Packed(lengths)
    expected = [number for number, length in enumerate(lengths) for _ in range(length)]
    assert layout.num_frames == len(expected)
    assert layout.documents.tolist() == expected


@given(LENGTHS, st.integers(0, 5))
def test_gaps_stand_before_every_document(lengths: tuple[int, ...], gap: int) -> None:
    rows = Packed(lengths).rows_after_gaps(gap)
    laid = ["gap"] * (sum(lengths) + gap * len(lengths))
    for frame, row in enumerate(rows.tolist()):
        laid[row] = str(frame)
    expected, frame = [], 0
    for length in lengths:
        expected += ["gap"] * gap + [str(frame + i) for i in range(length)]
        frame += length
    assert laid == expected


@given(LENGTHS)
def test_runs_cover_all_documents_in_order(lengths: tuple[int, ...]) -> None:
    runs = list(Packed(lengths).runs())
    assert tuple(run.length for run in runs for _ in range(run.count)) == lengths
    assert [run.start for run in runs] == [sum(r.count * r.length for r in runs[:i]) for i in range(len(runs))]
    assert all(a.length != b.length for a, b in zip(runs, runs[1:], strict=False))


def test_equal_neighbours_are_one_run() -> None:
    assert list(Packed((4, 4, 3, 4)).runs()) == [Run(0, 2, 4), Run(8, 1, 3), Run(11, 1, 4)]


def test_a_document_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match=r"every document needs at least 1 frame, got lengths \(3, 0\)"):
        Packed((3, 0))


def test_layouts_are_equal_by_value() -> None:
    first, second = Packed((1, 2)), Packed((1, 2), torch.device("cpu"))
    assert first.documents is first.documents  # made once
    assert first == second


def test_positions_begin_anew_in_each_document() -> None:
    assert Packed((3, 1, 2)).positions.tolist() == [0, 1, 2, 0, 0, 1]
    assert Packed(()).positions.tolist() == []
