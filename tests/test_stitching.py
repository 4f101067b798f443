"""Units cut into windows and stretches, and put together again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import stitching
from pipeline.audio import Facts
from pipeline.stitching import Cuts
from pipeline.tasks import Piece, Pieces


def facts(first: int, stop: int) -> Facts:
    return Facts(0.0, 1.0, 8000, 1, (), first, stop, 0.0, 1.0)


@pytest.fixture(autouse=True)
def short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stitching, "LONGEST_STRETCH", 25)


LENGTHS = st.lists(st.one_of(st.none(), st.integers(0, 90)), max_size=6)


def cuts_of(lengths: list[int | None], context: int = 2) -> Cuts:
    known = [None if length is None else facts(0, length) for length in lengths]
    return Cuts.of([length or 0 for length in lengths], known, window=10, context=context)


@given(LENGTHS, st.integers(0, 4))
def test_parts_keep_every_frame_once_and_in_order(lengths, context):
    cuts = cuts_of(lengths, context)
    kept = [f for part in cuts.parts for w in part.windows for f in range(w.keep_start, w.keep_stop)]
    assert kept == list(range(sum(length or 0 for length in lengths)))
    assert [part.recording for part in cuts.parts] == sorted(part.recording for part in cuts.parts)
    assert {part.recording for part in cuts.parts} == {n for n, length in enumerate(lengths) if length is not None}
    longest = max([w.keep_stop - w.keep_start for part in cuts.parts for w in part.windows], default=0)
    assert all(sum(w.keep_stop - w.keep_start for w in part.windows) <= max(25, longest) for part in cuts.parts)


@given(LENGTHS)
def test_what_is_said_of_frames_is_put_together(lengths):
    cuts = cuts_of(lengths)
    said = np.arange(sum(length or 0 for length in lengths))
    found = [(said[[f for w in p.windows for f in range(w.keep_start, w.keep_stop)]],) for p in cuts.parts]
    kept = cuts.kept(found, {})
    assert kept.counts == tuple(length or 0 for length in lengths)
    assert [column.tolist() for column in kept.columns] == ([said.tolist()] if cuts.parts else [])
    assert kept.pieces.shape == (0, 3)


def test_pieces_lie_where_their_recording_has_them():
    cuts = cuts_of([30, None, 7])
    assert [part.first for part in cuts.parts] == [0, 22, 0]
    pieces = {
        0: Pieces((Piece(1, 9, 5),), speech=11),
        1: Pieces((Piece(0, 4, 2), Piece(5, 8, 3)), speech=6),
        2: Pieces((), speech=1),
    }
    found = [(np.array([[1.0]]),), (np.array([[2.0], [3.0]]),), (np.empty((0, 1)),)]
    kept = cuts.kept(found, pieces)
    assert kept.pieces.tolist() == [[1, 9, 5], [22, 26, 2], [27, 30, 3]]
    assert (kept.counts, kept.speech) == ((3, 0, 0), (17, 0, 1))
    assert kept.columns[0].tolist() == [[1.0], [2.0], [3.0]]


def test_a_stretch_knows_its_windows_and_what_of_it_is_the_rows_own():
    cuts = Cuts.of([30], [facts(5, 24)], window=10, context=2)
    first, second = (part.stretch(None) for part in cuts.parts)
    assert first.windows == ((0, 7), (7, 12), (12, 17), (17, 22))
    assert (first.own, second.own) == ((5, 22), (0, 2))
    assert second.windows == ((0, 8),)


def test_a_recording_without_frames_has_a_part_without_windows():
    (part,) = cuts_of([0]).parts
    assert (part.windows, part.stretch(None).own, part.stretch(None).whole) == ((), (0, 0), Pieces(()))


def test_frames_that_windows_share_are_fed_twice():
    assert (cuts_of([10, 5]).fed, cuts_of([10, 5]).num_frames) == (15, 15)
    cuts = cuts_of([30])
    assert cuts.fed == sum(w.stop - w.start for part in cuts.parts for w in part.windows) > cuts.num_frames == 30
    assert cuts_of([]).fed == 0
