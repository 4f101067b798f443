"""What killed processes left of a forgotten recording is told by `verify` and taken out by `forget`, and only that."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.plan.forgotten import remember
from pipeline.table import write_run
from pipeline.table.__main__ import main
from pipeline.table.drafts import SETTLED
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import verify

REMEDY = "; `forget OUTPUT --yes` takes what is left of them out"


@pytest.fixture
def table(made: Any) -> Any:
    """Table of units (a, b), (c, d), all committed and published, with scores and a run that tell of a."""
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    assert main(["publish", made.output]) == 0
    write_run(made.output, "r", {"examples": {"decode.decode": "c/a: not audio"}})
    scores = Path(made.output, "_scores/transcribe")
    scores.mkdir(parents=True)
    (scores / "scores.json").write_text('{"worst": [{"id": "c/a"}]}')
    return made


def draft(file: Path, *, age: float = SETTLED + 60, keep: float = 1.0, digit: str = "0") -> Path:
    """What a process leaves that was killed when so much of a file was written."""
    left = file.with_name(f".{file.name}.{digit * 32}.tmp")
    shutil.copy(file, left)
    os.truncate(left, int(keep * file.stat().st_size))
    os.utime(left, (time.time() - age, time.time() - age))
    return left


def violations(made: Any) -> dict[str, str]:
    return {Path(each.file).name: each.message for each in verify(made.output).violations}


def test_drafts_of_every_kind_are_gone_and_those_of_others_stay(table: Any, capsys: Any) -> None:
    out = Path(table.output)
    (published,) = out.glob("_published/transcribe/*.parquet")
    telling = [
        draft(table.file(0)), draft(table.file(0), keep=0.5, digit="1"), draft(table.file(1), keep=0.5, digit="2"),
        draft(out / "_plan/000001.parquet"), draft(published), draft(out / "_runs/r.json"),
        draft(out / "_scores/transcribe/scores.json"),
    ]  # fmt: skip
    others = [draft(table.file(1)), draft(out / "transcribe/_task.json")]
    assert verify(table.output).complete  # nothing is forgotten yet
    assert main(["forget", table.output, "c/a"]) == 4
    told = capsys.readouterr().out
    assert f"{telling[0]}: left by a killed process, holds one\n" in told
    assert f"{telling[1]}: left by a killed process, may hold one\n" in told
    assert not any(str(each) in told for each in others)
    assert all(each.exists() for each in telling)
    assert main(["forget", table.output, "c/a", "--yes"]) == 0
    assert "all of that is gone" in capsys.readouterr().out
    assert [each.exists() for each in (*telling, *others)] == [False] * len(telling) + [True] * len(others)
    assert verify(table.output).complete


def test_a_draft_that_comes_after_is_told_and_goes_the_next_time(table: Any) -> None:
    held = table.file(0).read_bytes()
    assert main(["forget", table.output, "c/a", "--yes"]) == 0
    file = table.file(0).with_name("copy.parquet")
    file.write_bytes(held)
    whole, half = draft(file), draft(file, keep=0.5, digit="1")
    file.unlink()
    assert violations(table) == {
        whole.name: f"a draft that holds forgotten recordings{REMEDY}",
        half.name: f"a draft that may hold forgotten recordings{REMEDY}",
    }
    assert main(["forget", table.output, "--yes"]) == 0
    assert verify(table.output).complete


def test_one_that_a_process_may_be_writing_stays_and_is_named(table: Any, capsys: Any) -> None:
    whole, half = draft(table.file(0), age=10.0), draft(table.file(1), age=10.0, keep=0.5)
    assert main(["forget", table.output, "c/a", "--yes"]) == 4
    told = capsys.readouterr().out
    assert f"{whole}: stays, holds one\n" in told
    assert f"{half}: stays, may hold one\n" in told
    assert told.endswith(
        "all else is gone; 2 files may be of a process at work: the same command takes out what is left in 5.0 min\n"
    )
    # What holds a recording does so whoever wrote it; any commit at work looks as the other one does.
    assert violations(table) == {whole.name: f"a draft that holds forgotten recordings{REMEDY}"}
    for each in (whole, half):
        os.utime(each, (0, time.time() - SETTLED - 1))
    assert main(["forget", table.output, "--yes"]) == 0
    assert not whole.exists()
    assert not half.exists()
    assert verify(table.output).complete


@pytest.mark.parametrize(
    "rows",
    [{"x": [1]}, {"id": [None], "recording": [None], "spans": [None]}, {"id": [1], "recording": [2], "spans": [1]}],
)
def test_one_with_other_columns_or_values_may_hold_one(table: Any, rows: Any) -> None:
    assert main(["forget", table.output, "c/a", "--yes"]) == 0
    file = table.file(0).with_name("other.parquet")
    pq.write_table(pa.table(rows), file, write_page_checksum=True)
    left = draft(file)
    file.unlink()
    assert violations(table) == {left.name: f"a draft that may hold forgotten recordings{REMEDY}"}


def test_what_a_run_or_an_evaluation_at_work_wrote_afterwards_is_told(table: Any) -> None:
    remember(table.output, ["c/a"])
    assert main(["forget", table.output, "--yes"]) == 0
    assert verify(table.output).complete
    write_run(table.output, "s", {"sources": ["file:///c/a"], "examples": {"decode.decode": "c/a: not audio"}})
    Path(table.output, "_scores/transcribe/scores.md").write_text("worst: c/a")
    assert violations(table) == {
        "s.json": f"tells of forgotten recordings{REMEDY}", "transcribe": f"scores tell of forgotten recordings{REMEDY}"
    }  # fmt: skip
    assert main(["forget", table.output, "--yes"]) == 0
    assert verify(table.output).complete


def test_vacuum_removes_drafts_wherever_files_are_written(table: Any) -> None:
    out = Path(table.output)
    remember(table.output, ["c/a"])
    left = {draft(out / name) for name in ("_forgotten/000001.json", "_runs/r.json", "_scores/transcribe/scores.json")}
    assert {Path(each.uri.removeprefix("file://")) for each in vacuum(table.output, min_age=60.0).files} == left
