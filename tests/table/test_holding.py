"""What a unit's file must hold follows from what it is known to do without."""

from __future__ import annotations

from pipeline.table.holding import Gone, by_unit

PLANNED = ["a", "b", "c"]


def test_nothing_is_gone_so_all_must_be_there() -> None:
    assert Gone().expected("u", PLANNED, {"a"}) == PLANNED


def test_a_superseded_row_counts_where_it_is_and_is_not_missed_where_it_is_not() -> None:
    gone = Gone.of([("u", "b"), ("v", "a")])
    assert gone.units == {"u", "v"}
    assert gone.expected("u", PLANNED, set(PLANNED)) == PLANNED
    assert gone.expected("u", PLANNED, {"a", "c"}) == ["a", "c"]
    assert gone.expected("u", PLANNED, {"c"}) == ["a", "c"]
    assert gone.expected("w", PLANNED, {"c"}) == PLANNED


def test_rows_by_their_units() -> None:
    assert by_unit([("u", "a"), ("v", "a"), ("u", "b")]) == {"u": frozenset("ab"), "v": frozenset("a")}
