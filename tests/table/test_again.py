"""Recordings with an error are planned again for the tasks in which they failed, and for no other."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import StorageFault
from pipeline.plan import units
from pipeline.plan.store import extend, load_unit
from pipeline.table import committed, pending, read_table
from pipeline.table.__main__ import main
from pipeline.table.status import status
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import verify
from tests.table.conftest import mark_success, rows_of


@pytest.fixture(params=["local", "s3"])
def table(made: Any, request: pytest.FixtureRequest) -> Any:
    """Units (a, b), (c, d), done by two tasks: b has failed in both, c in `transcribe` alone."""
    if request.param == "s3":
        made.output = f"{request.getfixturevalue('s3_server').uri}/out"
    return fill(made)


def fill(made: Any) -> Any:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit(broken=["c/b", "c/c"])
    made.task = "other"
    made.commit(broken=["c/b"])
    made.task = "transcribe"
    return made


def waiting(made: Any, task: str) -> list[list[str]]:
    refs = pending(made.output, task, units(made.output))
    return [[each.id for each in load_unit(made.output, ref).recordings] for ref in refs]


def failing(made: Any, task: str) -> list[str]:
    rows = read_table(made.output, task=task).to_table(columns=["id", "error"]).to_pylist()
    assert sorted(row["id"] for row in rows) == ["c/a", "c/b", "c/c", "c/d"]
    return [row["id"] for row in rows if row["error"]]


def test_each_task_gets_what_it_failed_in(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mark_success(table.output, ["transcribe", "other"])
    assert main(["errors", table.output, "--again"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "other: decode.decode  1",
        "transcribe: decode.decode  2",
        "planned 2 recordings again, in 2 units. The next run does them.",
    ]
    assert (sorted(waiting(table, "transcribe")), waiting(table, "other")) == ([["c/b"], ["c/c"]], [["c/b"]])
    # The old rows stay until the new ones are there.
    assert (failing(table, "transcribe"), failing(table, "other")) == (["c/b", "c/c"], ["c/b"])
    verdict = verify(table.output)
    assert (verdict.holds, verdict.complete, [each.pending for each in verdict.tasks]) == (True, False, [1, 2])
    finish(table, "transcribe")
    assert (failing(table, "transcribe"), failing(table, "other")) == ([], ["c/b"])
    finish(table, "other")
    assert failing(table, "other") == []
    verdict = verify(table.output)
    assert (verdict.complete, verdict.violations) == (True, ())
    assert mark_success(table.output, ["transcribe", "other"])
    found = status(table.output)
    assert (found.complete, found.recordings, found.superseded) == (True, 4, 2)


def finish(made: Any, task: str) -> None:
    made.task = task
    for ref in pending(made.output, task, units(made.output)):
        unit = load_unit(made.output, ref)
        made.put(unit, rows_of(unit))


def test_a_task_that_comes_later_does_each_recording_once(made: Any) -> None:
    fill(made)
    main(["errors", made.output, "--again"])
    assert waiting(made, "third") == [["c/a", "c/b"], ["c/c", "c/d"]]
    made.task = "third"
    made.declare()
    finish(made, "third")
    assert failing(made, "third") == []


def test_twice_plans_once_and_after_it_failed_again_once_more(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fill(made)
    main(["errors", made.output, "--again", "--task", "transcribe", "c/b"])
    main(["errors", made.output, "--again", "--task", "transcribe"])
    out = capsys.readouterr().out.splitlines()
    assert out[1] == "planned 1 recording again, in 1 unit. The next run does them."
    assert "the others are planned again and pending already" in out[-1]
    assert len(units(made.output)) == 4
    for number in (2, 3):
        made.put(made.unit(number), rows_of(made.unit(number), broken=["c/b"]))
    main(["errors", made.output, "--again"])
    assert waiting(made, "transcribe") == [["c/b"]] == waiting(made, "other")
    finish(made, "transcribe")
    finish(made, "other")
    assert (failing(made, "transcribe"), failing(made, "other")) == ([], [])
    assert sum(each.rows for each in vacuum(made.output, min_age=0.0, dry_run=False).rows) == 4
    assert verify(made.output).complete
    assert (failing(made, "transcribe"), failing(made, "other")) == ([], [])


def test_a_listing_finds_nothing_new_and_a_change_takes_the_place_for_all(made: Any) -> None:
    fill(made)
    main(["errors", made.output, "--again", "--task", "transcribe"])
    before = len(units(made.output))
    made.plan("a", "b", "c", "d", seconds=30.0)
    assert len(units(made.output)) == before
    made.plan("b", version="2-2", seconds=30.0)
    assert waiting(made, "other") == [["c/b"]]
    finish(made, "other")
    assert failing(made, "other") == []
    finish(made, "transcribe")
    assert failing(made, "transcribe") == []
    assert verify(made.output).complete


def test_only_of_a_reason_and_dry(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", table.output, "--again", "--reason", "read.missing"]) == 0
    # A command of every night names what may not be there on all of them.
    told = "no row has the error read.missing; there are decode.decode\nnothing has been planned\n"
    assert capsys.readouterr().out == told
    both = ["--reason", "read.missing", "--reason", "decode.decode"]
    assert main(["errors", table.output, "--again", "--dry-run", *both]) == 0
    assert "no row has the error read.missing; there are decode.decode\n" in capsys.readouterr().out
    assert main(["errors", table.output, "--again", "--dry-run", "--reason", "decode.decode"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["transcribe: decode.decode  2", "nothing has been planned"]
    assert len(units(table.output)) == 2


@pytest.mark.parametrize("more", [[], ["--reason", "decode.decode"], ["--dry-run"]])
def test_a_reason_that_is_misspelt_is_refused(table: Any, more: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", table.output, "--again", "--reason", "decode.emtpy", *more]) == 2
    said = capsys.readouterr()
    told = "nothing was planned, for no row has the error decode.emtpy, nor can one have it; there are decode.decode."
    assert (said.out, said.err) == ("", f"{table.output}: {told}\n")
    assert len(units(table.output)) == 2


def test_what_makes_no_sense_is_one_line(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fill(made)
    assert main(["errors", made.output, "--again", "c/b", "c/a", "x"]) == 2
    assert capsys.readouterr().err == (
        f"{made.output}: nothing was planned, for no such row has an error: 'c/a', 'x'.\n"
    )
    assert main(["errors", made.output, "c/b"]) == 2
    assert "add --again" in capsys.readouterr().err
    assert len(units(made.output)) == 2


def test_a_claim_is_taken_back_and_forgotten_ones_stay_away(made: Any) -> None:
    fill(made)
    mark_success(made.output, ["transcribe", "other"])
    main(["forget", made.output, "c/b", "--yes"])
    main(["errors", made.output, "--again"])
    assert not Path(made.output, "_SUCCESS").exists()
    assert (waiting(made, "transcribe"), waiting(made, "other")) == ([["c/c"]], [])


def test_two_at_once_plan_each_recording_once(table: Any) -> None:
    threads = [threading.Thread(target=main, args=(["errors", table.output, "--again"],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sorted(waiting(table, "transcribe")), waiting(table, "other")) == ([["c/b"], ["c/c"]], [["c/b"]])
    assert len(committed(table.output, "other")) == 2


def test_what_has_changed_in_the_meantime_is_left_to_the_next_listing(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "audio"
    source.mkdir()
    for name in ("mended", "broken", "gone"):
        (source / f"{name}.wav").write_bytes(b"not audio")
    extend([str(source)], made.output, corpus="c")
    made.commit(broken=["c/mended.wav", "c/broken.wav", "c/gone.wav"])
    (source / "mended.wav").write_bytes(b"audio by now")
    (source / "gone.wav").unlink()
    assert main(["errors", made.output, "--again"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "planned 2 recordings again, in 1 unit; 1 changed since, left to the run that lists them next. "
        "The next run does them."
    )
    extend([str(source)], made.output, corpus="c")
    assert sorted(waiting(made, "transcribe")) == [["c/broken.wav", "c/gone.wav"], ["c/mended.wav"]]


def test_sources_out_of_reach_are_planned_again_and_not_waited_for_one_by_one(
    made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{number:02d}" for number in range(60)]
    made.plan(*names)
    made.commit(broken=[f"c/{name}" for name in names])
    asked = []

    def stat(source: str) -> Any:
        asked.append(source)
        raise StorageFault(f"{source}: no answer")

    monkeypatch.setattr("pipeline.plan.again.stat", stat)
    assert main(["errors", made.output, "--again"]) == 0
    assert "planned 60 recordings again" in capsys.readouterr().out
    assert 1 <= len(asked) <= 16
