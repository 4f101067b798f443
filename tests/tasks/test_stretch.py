"""The whole of a stretch as one piece."""

from __future__ import annotations

from pipeline.tasks.stretch import Piece, Pieces, Stretch


def test_the_whole_reaches_to_the_end_of_the_last_window() -> None:
    assert Stretch(((0, 20), (20, 31)), (0, 31)).whole == Pieces((Piece(0, 31),))


def test_nothing_has_no_piece() -> None:
    assert Stretch((), (0, 0)).whole == Pieces(())
    assert Stretch(((0, 0),), (0, 0)).whole.pieces == ()
