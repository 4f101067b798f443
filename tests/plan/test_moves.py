"""Audio of the plan that lies elsewhere by now is read there; what differs there is changed, not another's."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.plan import load_unit, moves, units
from pipeline.plan.moves import NOWHERE, Moves, Moving


@pytest.mark.parametrize(
    ("id", "planned", "now", "pair"),
    [
        ("c/x/a.wav", "file:///old/x/a.wav", "file:///new/x/a.wav", ("file:///old/", "file:///new/")),
        ("c/a.wav", "file:///c/a.wav", "s3://b/c/a.wav", ("file:///c/", "s3://b/c/")),
        ("c/a.wav", "file:///d/a.wav", "file:///d/e/a.wav", ("file:///d/", "file:///d/e/")),
        ("c/a.wav", "file:///d/e/a.wav", "file:///d/a.wav", ("file:///d/e/", "file:///d/")),
        ("c/x/1.tar::k/a.wav", "file:///d/x/1.tar", "s3://b/x/1.tar", ("file:///d/", "s3://b/")),
        ("c/x/a.wav@0-14400", "file:///d/x/a.wav", "s3://b/x/a.wav", ("file:///d/", "s3://b/")),
        ("radio/a.wav", "s3://b/radio/a.wav", "s3://new/radio/a.wav", ("s3://b/radio/", "s3://new/radio/")),
        ("own", "file:///d/x/a.wav", "file:///e/x/a.wav", ("file:///d/x/", "file:///e/x/")),
        ("own", "file:///d/a.wav", "file:///e/b.wav", ("file:///d/a.wav", "file:///e/b.wav")),
    ],
)
def test_a_move_is_of_the_corpus_and_of_nothing_beside_it(
    id: str, planned: str, now: str, pair: tuple[str, str]
) -> None:
    moving = Moving()
    moving.see(hash(planned), now, lambda: (id, planned))
    assert moving.found().pairs == (pair,)
    assert moving.found().now(planned) == now
    assert moving.found().now(now) == now
    for other in ("file:///elsewhere/a.wav", "s3://b/tv/a.wav"):
        assert moving.found().now(other) == other
    assert moving.explains(hash(planned), now)
    assert not moving.explains(hash("file:///other/a.wav"), now)


def test_one_move_explains_all_that_went_with_it_and_the_plan_is_read_once() -> None:
    asked: list[str] = []

    def read() -> tuple[str, str]:
        asked.append("")
        return "c/x/a.wav", "file:///old/x/a.wav"

    moving = Moving()
    for name in ("x/a.wav", "x/b.wav", "y.wav"):
        moving.see(hash(f"file:///old/{name}"), f"file:///new/{name}", read)
    assert moving.found() == Moves((("file:///old/", "file:///new/"),))
    assert len(asked) == 1


def test_the_innermost_move_counts() -> None:
    both = Moving([("file:///c/", "s3://b/"), ("file:///c/d/", "s3://other/")]).found()
    assert both.now("file:///c/a.wav") == "s3://b/a.wav"
    assert both.now("file:///c/d/a.wav") == "s3://other/a.wav"


def test_no_listing_is_believed_to_show_very_many_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "MOST", 2)
    moving = Moving()
    for number in range(5):
        moving.see(number, f"file:///new/{number}.wav", lambda number=number: ("own", f"file:///old/{number}a.wav"))
    assert len(moving.found().pairs) == 2


def test_a_unit_that_is_pending_is_read_where_its_audio_lies_now(plan: Any, make: Any) -> None:
    plan([make("a.wav"), make("x/b.wav")])
    report = plan([make("a.wav", source="s3://b/c/a.wav"), make("x/b.wav", source="s3://b/c/x/b.wav")])
    assert (report.planned, report.unchanged) == (0, 2)
    assert report.moves.pairs == (("file:///c/", "s3://b/c/"),)
    sources = [
        each.source for ref in units(plan.output) for each in load_unit(plan.output, ref, report.moves).recordings
    ]
    assert sources == ["s3://b/c/a.wav", "s3://b/c/x/b.wav"]
    assert plan([make("a.wav"), make("x/b.wav")]).moves == NOWHERE


@pytest.mark.parametrize("first", [True, False])
def test_what_has_changed_where_a_corpus_has_moved_to_is_planned_anew(plan: Any, make: Any, first: bool) -> None:
    plan([make("a.wav"), make("b.wav")])
    moved = [make("a.wav", source="s3://b/a.wav", version="11-1"), make("b.wav", source="s3://b/b.wav")]
    report = plan(moved if first else moved[::-1])
    assert (report.changed, report.unchanged, report.new) == (1, 1, 0)
    again = plan(moved)
    assert (again.planned, again.unchanged) == (0, 2)


def test_what_has_changed_at_another_place_than_its_neighbours_moved_to_is_refused(plan: Any, make: Any) -> None:
    plan([make("a.wav"), make("b.wav")])
    with pytest.raises(UserError, match=r"c/a\.wav was planned from file:///c/a\.wav .* s3://other/a\.wav"):
        plan([make("a.wav", source="s3://other/a.wav", version="11-1"), make("b.wav", source="s3://b/b.wav")])


def test_very_many_strangers_are_not_kept_until_the_end(plan: Any, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.plan.draft.MOST_STRANGERS", 1)
    names = ["a.wav", "b.wav", "c.wav"]
    plan([make(name) for name in names])
    with pytest.raises(UserError, match=r"c/a\.wav was planned from"):
        plan([make(name, source=f"s3://b/{name}", version="11-1") for name in names])


def test_what_is_not_there_shows_no_move(plan: Any, make: Any) -> None:
    there = make("b.wav")
    plan([there, make("a.wav", version="missing")])
    report = plan([there, make("a.wav", version="missing", source="file:///c/d/a.wav")])
    assert (report.planned, report.moves) == (0, NOWHERE)


def test_another_stretch_under_the_same_id_is_changed(plan: Any, make: Any) -> None:
    line = make("a.wav", start=0.0, end=2.0)
    plan([line, make("b.wav")])
    assert plan([line, make("b.wav")]).planned == 0
    later = dataclasses.replace(line, start=4.0, end=6.0)
    report = plan([later, make("b.wav")])
    assert (report.changed, report.unchanged) == (1, 1)
    assert plan([later, make("b.wav")]).planned == 0
    assert plan([dataclasses.replace(line, start=0.0, end=None), make("b.wav")]).changed == 1
    names = [each.name for each in units(plan.output)]
    assert len(set(names)) == len(names) == 3
