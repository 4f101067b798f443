"""Audio of the plan that lies elsewhere by now is read there; what differs there is changed, not another's."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pipeline.errors import UserError
from pipeline.plan import load_unit, moves, units
from pipeline.plan.known import read_known
from pipeline.plan.moves import NOWHERE, Moves, Moving
from pipeline.storage.listing import Entry


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
    assert moving.found().candidates(planned) == [now]
    for other in ("file:///elsewhere/a.wav", "s3://b/tv/a.wav"):
        assert moving.found().candidates(other) == []
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


def test_the_innermost_move_is_the_likeliest() -> None:
    both = Moving([("file:///c/", "s3://b/"), ("file:///c/d/", "s3://other/")]).found()
    assert both.candidates("file:///c/a.wav") == ["s3://b/a.wav"]
    assert both.candidates("file:///c/d/a.wav") == ["s3://other/a.wav", "s3://b/d/a.wav"]


def test_no_listing_is_believed_to_show_very_many_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moves, "MOST", 2)
    moving = Moving()
    for number in range(5):
        moving.see(number, f"file:///new/{number}.wav", lambda number=number: ("own", f"file:///old/{number}a.wav"))
    assert len(moving.found().pairs) == 2


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """URI -> version of what there is."""
    found: dict[str, str] = {}

    def stat(uri: str) -> Entry:
        if uri not in found:
            raise FileNotFoundError(uri)
        return Entry(uri, 10, found[uri])

    monkeypatch.setattr(moves, "stat", stat)
    return found


def read_at(plan: Any, report: Any) -> list[str]:
    """Where what is planned is read."""
    return [each.source for ref in units(plan.output) for each in load_unit(plan.output, ref, report.moves).recordings]


def test_what_is_pending_is_read_where_its_audio_lies_now(plan: Any, make: Any, there: dict[str, str]) -> None:
    plan([make("a.wav"), make("x/b.wav")])
    moved = [make(name, source=f"s3://b/c/{name}") for name in ("a.wav", "x/b.wav")]
    report = plan(moved)
    assert (report.planned, report.unchanged) == (0, 2)
    assert report.moves.pairs == (("file:///c/", "s3://b/c/"),)
    there |= {each.source: each.version for each in moved}
    assert read_at(plan, report) == ["s3://b/c/a.wav", "s3://b/c/x/b.wav"]
    assert plan([make("a.wav"), make("x/b.wav")]).moves == NOWHERE


def test_what_did_not_move_with_others_is_read_where_it_was_planned(
    plan: Any, make: Any, there: dict[str, str]
) -> None:
    plan([make("a.wav"), make("left.wav"), make("replaced.wav")])
    report = plan([make("a.wav", source="file:///d/a.wav"), make("left.wav"), make("replaced.wav"), make("new.wav")])
    there |= {"file:///d/a.wav": "10-1", "file:///d/replaced.wav": "12-2"}
    left = [f"file:///c/{name}.wav" for name in ("left", "replaced", "new")]
    assert read_at(plan, report) == ["file:///d/a.wav", *left]


def test_a_folder_that_moved_into_itself_is_read_in_itself(plan: Any, make: Any, there: dict[str, str]) -> None:
    plan([make("x.wav"), make("c/x.wav")])
    report = plan([make("x.wav", source="file:///c/c/x.wav"), make("c/x.wav", source="file:///c/c/c/x.wav")])
    there |= {"file:///c/c/x.wav": "10-1", "file:///c/c/c/x.wav": "10-1"}
    assert read_at(plan, report) == ["file:///c/c/x.wav", "file:///c/c/c/x.wav"]


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


def test_another_stretch_of_what_is_cut_is_changed(plan: Any, make: Any) -> None:
    long = make("a.wav", start=0.5, end=18_000.5, seconds=18_000.0, size=10**9)
    assert plan([long]).new == 5
    assert plan([long]).planned == 0
    later = dataclasses.replace(long, start=3600.5, end=21_600.5)
    assert plan([later]).changed == 5
    longer = dataclasses.replace(later, end=21_601.5, seconds=18_001.0)
    assert plan([longer]).planned > 0
    assert plan([longer]).planned == 0
    whole = make("a.wav", seconds=18_001.0, size=10**9)
    assert plan([whole]).changed == 6
    assert plan([whole]).planned == 0


@pytest.mark.parametrize(("start", "end"), [(0.0, 18_000.0), (3600.0, 21_600.0)])
def test_a_stretch_that_was_cut_is_looked_at_where_its_line_is_of_the_whole_file_now(
    plan: Any, make: Any, start: float, end: float
) -> None:
    plan([make("a.wav", start=start, end=end, seconds=18_000.0, size=10**9)])
    assert read_known(plan.output).files.rows_of("c/a.wav", "10-1") == 0
    plan([make("a.wav", seconds=18_000.0, size=10**9)])
    assert read_known(plan.output).files.rows_of("c/a.wav", "10-1") == 5


def test_a_path_that_is_mended_is_changed_wherever_its_audio_lies(plan: Any, make: Any) -> None:
    plan([make("a.wav", version="missing", source="file:///c/typo.wav"), make("b.wav")])
    report = plan([make("a.wav", source="file:///d/a.wav"), make("b.wav")])
    assert (report.changed, report.moves) == (1, NOWHERE)
