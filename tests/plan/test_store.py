"""A plan grows by what is new or changed, never otherwise, and gives back what it was given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.corpus import Recording
from pipeline.errors import StorageFault, UserError
from pipeline.plan import held, load_unit, publish, store, units
from pipeline.plan.generations import Scope
from pipeline.plan.ids import unit_name
from pipeline.plan.superseded import Superseded, hidden, superseded
from pipeline.sources import Problem, RowsPlanned
from pipeline.storage import parquet

Make = Callable[..., Recording]


def planned(output: str) -> list[list[Recording]]:
    return [list(load_unit(output, ref).recordings) for ref in units(output)]


def ids(output: str) -> list[str]:
    return [recording.id for unit in planned(output) for recording in unit]


def test_nothing_planned_is_no_unit(tmp_path: Path) -> None:
    assert units(str(tmp_path / "out")) == []


def test_units_hold_what_was_listed_in_order(plan: Any, make: Make) -> None:
    listed = [make(f"{number:03d}.wav", seconds=20.0, size=7) for number in range(50)]
    report = plan(listed, unit_seconds=60.0)
    assert [each for unit in planned(plan.output) for each in unit] == listed
    refs = units(plan.output)
    assert [ref.count for ref in refs] == [3] * 16 + [2]
    assert [ref.seconds for ref in refs] == [60.0] * 16 + [40.0]
    assert [ref.size for ref in refs] == [21] * 16 + [14]
    assert [ref.name for ref in refs] == [unit_name(unit) for unit in planned(plan.output)]
    assert (report.new, report.units, report.generations, report.seconds) == (50, 17, (1,), 1000.0)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
FIELDS = st.fixed_dictionaries(
    {
        "version": TEXT, "seconds": st.floats(0, 1e4), "size": st.integers(0, 2**40), "offset": st.integers(0, 2**50),
        "member": st.none() | TEXT, "streamed": st.booleans(), "sample_rate": st.integers(0, 192_000),
        "start": st.floats(0, 1e5), "end": st.none() | st.floats(0, 1e5), "reference": st.none() | TEXT,
        "metadata": st.none() | TEXT, "seconds_from": st.sampled_from(["header", "bitrate", "estimate"]),
    }
)  # fmt: skip


@given(st.dictionaries(TEXT, FIELDS, max_size=12), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_every_field_comes_back(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, dict[str, Any]], together: int
) -> None:
    listed = [
        Recording(
            **{"id": f"c/{name}", "source": "s", "key": name, "recording": f"c/{name}", "format": "wav"}, **more
        )  # fmt: skip
        for name, more in fields.items()
    ]
    output = str(tmp_path_factory.mktemp("plan"))
    groups = [tuple(listed[first : first + together]) for first in range(0, len(listed), together)]
    store.extend_from(lambda known: groups, output, scope=Scope("c", ()))
    assert [each for unit in planned(output) for each in unit] == listed


def test_a_second_run_plans_only_what_is_new(plan: Any, make: Make) -> None:
    first = [make(f"{number}.wav") for number in range(5)]
    plan(first)
    before = units(plan.output)
    report = plan([*first, make("a.wav"), make("b.wav")])
    assert (report.new, report.changed, report.unchanged, report.vanished) == (2, 0, 5, 0)
    assert units(plan.output)[: len(before)] == before
    assert ids(plan.output) == [*(each.id for each in first), "c/a.wav", "c/b.wav"]
    report = plan([*first, make("a.wav"), make("b.wav")])
    assert (report.new, report.units, report.generations) == (0, 0, ())
    assert len(list(Path(plan.output, "_plan").iterdir())) == 2


def test_changed_content_is_planned_again_and_names_what_it_supersedes(plan: Any, make: Make) -> None:
    plan([make("a.wav"), make("b.wav")])
    old = units(plan.output)[0].name
    report = plan([make("a.wav"), make("b.wav", version="10-2")])
    assert (report.new, report.changed, report.unchanged) == (0, 1, 1)
    new = units(plan.output)[1].name
    assert superseded(plan.output) == [Superseded((new, "c/b.wav"), (old, "c/b.wav"))]
    assert plan([make("a.wav"), make("b.wav", version="10-2")]).planned == 0


def test_content_that_comes_back_is_a_new_unit(plan: Any, make: Make) -> None:
    for version in ("1-1", "2-2", "1-1"):
        assert plan([make("a.wav", version=version)]).planned == 1
    names = [ref.name for ref in units(plan.output)]
    assert len(set(names)) == 3
    assert hidden(superseded(plan.output), set(names)) == {(name, "c/a.wav") for name in names[:2]}


def test_an_old_row_stays_until_a_newer_one_is_committed(plan: Any, make: Make) -> None:
    for version in ("1-1", "2-2", "3-3"):
        plan([make("a.wav", version=version)])
    changes, (one, two, three) = superseded(plan.output), [ref.name for ref in units(plan.output)]
    assert hidden(changes, {one}) == set()
    assert hidden(changes, {one, two}) == {(one, "c/a.wav")}
    assert hidden(changes, {one, three}) == {(one, "c/a.wav"), (two, "c/a.wav")}


def test_vanished_is_counted_where_the_same_sources_were_listed(plan: Any, make: Make) -> None:
    plan([make("a.wav"), make("b.wav")])
    assert plan([make("a.wav")]).vanished == 1
    other_night = dataclasses.replace(plan, scope=Scope("c", ("file:///night2",)))
    assert other_night([make("n.wav", source="file:///night2/n.wav")]).vanished == 0
    both = dataclasses.replace(plan, scope=Scope("c", ("file:///c", "file:///night2")))
    assert both([make("a.wav")]).vanished == 2


def test_dry_run_writes_nothing(plan: Any, make: Make) -> None:
    report = plan([make("a.wav"), make("b.wav")], dry_run=True)
    assert (report.new, report.units, report.generations) == (2, 1, ())
    assert list(Path(plan.output).iterdir()) == []


def test_lines_of_one_file_share_a_unit_and_count_its_bytes_once(plan: Any, make: Make) -> None:
    lines = tuple(
        make("talk.wav", id=f"c/talk.wav@{n}-{n + 1}", start=float(n), end=n + 1.0, seconds=1.0, size=10**6)
        for n in range(100)
    )
    plan([*(make(f"{n}.wav", seconds=30.0) for n in range(3)), lines], unit_seconds=100.0, unit_bytes=2 * 10**6)
    refs = units(plan.output)
    assert [ref.count for ref in refs] == [3, 100]
    assert refs[1].size == 10**6


def test_a_read_holds_no_more_of_a_large_recording_than_is_read_at_once(plan: Any, make: Make) -> None:
    unknown = {"seconds_from": "estimate", "seconds": 9e6}
    listed = [
        make("a.mp3", size=10**9, **unknown),
        make("b.mp3", size=30 * 10**9, **unknown),
        make("c.tar.gz", member="m", streamed=True, size=2 * 10**9, **unknown),
        make("d.tar.gz", member="m", streamed=True, size=900 * 10**9, **unknown),
        make("e.wav", size=7),
        make("f.wav", size=8),
    ]
    plan(listed)
    assert [held(plan.output, ref) for ref in units(plan.output)] == [10**9, 0, 2 * 10**9, 4 * 10**9, 15]


def test_spans_spread_over_units(plan: Any, make: Make) -> None:
    report = plan([make("day.wav", seconds=86_400.0, size=24_000_000)])
    assert (report.recordings, report.spans, report.new, report.seconds) == (1, 24, 24, 86_400.0)
    refs = units(plan.output)
    assert [ref.count for ref in refs] == [1] * 24
    assert {ref.size for ref in refs} == {1_000_000}


def test_spans_of_old_content_are_superseded_too(plan: Any, make: Make) -> None:
    plan([make("day.wav", seconds=86_400.0, size=10**7)])
    report = plan([make("day.wav", seconds=18_001.0, size=10**7, version="9-9")])
    assert (report.planned, report.vanished) == (6, 0)
    committed = {ref.name for ref in units(plan.output)}
    gone = hidden(superseded(plan.output), committed)
    left = [
        each.id
        for ref in units(plan.output)
        for each in load_unit(plan.output, ref).recordings
        if (ref.name, each.id) not in gone
    ]
    assert left == [each.id for unit in planned(plan.output)[-6:] for each in unit]
    report = plan([make("day.wav", seconds=100.0, version="10-10")])
    assert (report.planned, report.vanished) == (1, 0)
    gone = hidden(superseded(plan.output), {ref.name for ref in units(plan.output)})
    assert len(gone) == 24 + 6
    assert plan([make("day.wav", seconds=100.0, version="10-10")]).planned == 0


def test_a_listing_that_fails_plans_nothing(plan: Any, make: Make) -> None:
    def breaks_off(known: RowsPlanned) -> Iterator[tuple[Recording]]:
        yield (make("a.wav"),)
        raise StorageFault("s3://b: timeout while listing")

    with pytest.raises(StorageFault, match="while listing"):
        store.extend_from(breaks_off, plan.output, scope=plan.scope)
    assert not Path(plan.output, "_plan").exists()


def test_equal_ids_in_one_listing_are_refused_with_both_places(plan: Any, make: Make) -> None:
    twice = [make("a.wav", source="file:///one/a.wav"), make("b.wav"), make("a.wav", source="file:///two/a.wav")]
    told = r"c/a\.wav: file:///one/a\.wav and file:///two/a\.wav\..*--corpus NAME;.* the line another one"
    with pytest.raises(UserError, match=told):
        plan(twice)
    with pytest.raises(UserError, match=r"file:///c/b\.wav: the id c/b\.wav is listed twice.*Name each source once"):
        plan([make("b.wav"), make("b.wav")])
    assert list(Path(plan.output).iterdir()) == []


def test_equal_ids_are_refused_also_where_they_are_known(
    plan: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan([make("a.wav"), make("b.wav")])
    with pytest.raises(UserError, match=r"c/a\.wav is listed twice"):
        plan([make("a.wav"), make("b.wav"), make("a.wav")])
    monkeypatch.setattr("pipeline.plan.draft.BATCH", 1)
    with pytest.raises(UserError, match=r"file:///c/a\.wav and file:///d/a\.wav"):
        plan([make("a.wav"), make("b.wav"), make("a.wav", source="file:///d/a.wav")])


def test_a_known_id_at_another_place_is_refused_unless_it_is_the_same(plan: Any, make: Make) -> None:
    plan([make("a.wav")])
    moved = make("a.wav", source="s3://b/a.wav")
    assert plan([moved]).unchanged == 1
    told = r"c/a\.wav was planned from file:///c/a\.wav .* s3://b/a\.wav.*--corpus NAME, or, .* the line another one;"
    with pytest.raises(UserError, match=told):
        plan([dataclasses.replace(moved, version="11-1")])


def test_problems_are_reported(plan: Any, make: Make) -> None:
    problems = [Problem(f"file:///c/{n}.tar", "ends in the middle of a member") for n in range(3)]
    report = plan([make("a.wav"), *problems])
    assert report.problems == tuple(problems)
    assert (report.num_problems, report.new) == (3, 1)


def test_a_large_draft_becomes_several_generations(plan: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "ROW_GROUP", 10)
    monkeypatch.setattr(publish, "GENERATION", 25)
    monkeypatch.setattr("pipeline.plan.draft.BATCH", 7)
    listed = [make(f"{number:03d}.wav") for number in range(100)]
    report = plan(listed, unit_seconds=60.0)
    assert report.generations == (1, 2, 3, 4, 5)
    assert (report.new, report.units) == (100, 17)
    refs = units(plan.output)
    assert [each for unit in planned(plan.output) for each in unit] == listed
    for ref in refs:
        file = pq.ParquetFile(Path(plan.output, "_plan", f"{ref.generation:06d}.parquet"))
        names = file.read_row_group(ref.row_group, columns=["unit"]).column("unit").to_pylist()
        assert names[ref.first : ref.first + ref.count] == [ref.name] * ref.count
        assert names.count(ref.name) == ref.count
        assert len(names) <= 10
    assert plan(listed).planned == 0


def test_a_unit_larger_than_a_row_group_has_one_to_itself(
    plan: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "ROW_GROUP", 2)
    plan([make(f"{number}.wav") for number in range(6)], unit_seconds=50.0)
    assert [(ref.row_group, ref.first, ref.count) for ref in units(plan.output)] == [(0, 0, 5), (1, 0, 1)]


def test_units_with_much_metadata_share_no_row_group_that_is_refused_when_it_is_read(
    plan: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "HEAVY", 20_000)
    monkeypatch.setattr(parquet, "MOST", 80_000)
    listed = [make(f"{number:02d}.wav", metadata=f"{number:02d}" * 2_500) for number in range(20)]
    plan(listed, unit_seconds=60.0)
    assert [each for unit in planned(plan.output) for each in unit] == listed
    assert len({ref.row_group for ref in units(plan.output)}) == 4


def test_two_planners_of_the_same_listing_write_the_same_bytes(tmp_path: Path, plan: Any, make: Make) -> None:
    listed = [make(f"{number}.wav") for number in range(9)]
    plan(listed)
    (tmp_path / "other").mkdir()
    other = dataclasses.replace(plan, output=str(tmp_path / "other"))
    other(listed)
    first, second = (Path(each.output, "_plan/000001.parquet").read_bytes() for each in (plan, other))
    assert first == second


def test_who_comes_second_plans_the_difference(plan: Any, make: Make) -> None:
    rival = dataclasses.replace(plan, listings=0, reports=[])
    started = 0

    def listing(known: RowsPlanned) -> Iterator[tuple[Recording]]:
        nonlocal started
        started += 1
        for name in ("a.wav", "b.wav", "c.wav"):
            yield (make(name),)
        if started == 1:
            rival([make("b.wav"), make("d.wav")])

    report = store.extend_from(listing, plan.output, scope=plan.scope)
    assert started == 2
    assert (report.new, report.unchanged, report.generations) == (2, 1, (2,))
    assert sorted(ids(plan.output)) == ["c/a.wav", "c/b.wav", "c/c.wav", "c/d.wav"]


def test_planning_takes_the_claim_of_success_back(plan: Any, make: Make) -> None:
    plan([make("a.wav")])
    claim = Path(plan.output, "_SUCCESS")
    claim.write_text('{"generation": 1, "tasks": []}')
    plan([make("a.wav")])
    assert claim.exists()
    plan([make("a.wav"), make("b.wav")])
    assert not claim.exists()


def test_a_gap_in_the_generations_is_an_error(plan: Any, make: Make) -> None:
    for name in ("a", "b", "c"):
        plan([make(f"{name}.wav")])
    Path(plan.output, "_plan/000002.parquet").unlink()
    for act in (lambda: units(plan.output), lambda: plan([make("d.wav")])):
        with pytest.raises(UserError, match=r"000002\.parquet: this generation of the plan is missing.*Restore"):
            act()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[: len(data) // 2], r"000001\.parquet: the plan file is damaged"),
        (lambda data: b"", r"000001\.parquet: the plan file is damaged"),
        (lambda data: b"PAR1" + bytes(len(data) - 8) + b"PAR1", r"000001\.parquet: the plan file is damaged"),
    ],
)
def test_a_damaged_plan_is_an_error(plan: Any, make: Make, damage: Callable[[bytes], bytes], message: str) -> None:
    plan([make(f"{number}.wav") for number in range(100)])
    file = Path(plan.output, "_plan/000001.parquet")
    file.write_bytes(damage(file.read_bytes()))
    for act in (lambda: units(plan.output), lambda: plan([make("d.wav")])):
        with pytest.raises(UserError, match=message):
            act()


@pytest.mark.parametrize("tasks", [b"{", b"3", b"[1]", b"[]"])
def test_a_generation_for_tasks_that_are_none_is_an_error(plan: Any, make: Make, tasks: bytes) -> None:
    plan([make("a.wav")])
    file = Path(plan.output, "_plan/000001.parquet")
    rows = pq.read_table(file)
    told = {key: value for key, value in rows.schema.metadata.items() if key != b"ARROW:schema"}
    pq.write_table(rows.replace_schema_metadata({**told, b"voxmill.tasks": tasks}), file, write_page_checksum=True)
    with pytest.raises(UserError, match=r"000001\.parquet: the plan file is damaged"):
        units(plan.output)


def test_parquet_that_is_no_plan_is_an_error(plan: Any) -> None:
    file = Path(plan.output, "_plan/000001.parquet")
    file.parent.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}), file, write_page_checksum=True)
    with pytest.raises(UserError, match=r"000001\.parquet: is Parquet, but no plan; this release reads plan version 1"):
        units(plan.output)


def test_a_plan_made_anew_in_the_same_place_is_read_anew(plan: Any, make: Make) -> None:
    import shutil

    plan([make("a.wav")])
    assert ids(plan.output) == ["c/a.wav"]
    shutil.rmtree(Path(plan.output, "_plan"))
    plan([make("b.wav")])
    assert ids(plan.output) == ["c/b.wav"]


def test_a_reference_to_another_plan_is_an_error(plan: Any, make: Make) -> None:
    plan([make("a.wav")])
    ref = dataclasses.replace(units(plan.output)[0], name="0" * 32)
    with pytest.raises(UserError, match=r"has no unit 0{32} where it was"):
        load_unit(plan.output, ref)


def test_a_plan_of_many_nights_reads_in_its_order(plan: Any, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.plan.known._TOGETHER", 7)
    for night in range(1, 12):
        plan([make(f"{number:03d}.wav") for number in range(3 * night)], unit_seconds=10.0)
    found = units(plan.output)
    assert [unit.generation for unit in found] == [night for night in range(1, 12) for _ in range(3)]
    assert ids(plan.output) == [f"c/{number:03d}.wav" for number in range(33)]
    again = plan([make(f"{number:03d}.wav", version="2-2") for number in range(33)], unit_seconds=10.0)
    assert (again.new, again.changed) == (0, 33)
    assert [each.old[1] for each in superseded(plan.output)] == [f"c/{number:03d}.wav" for number in range(33)]
