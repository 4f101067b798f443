"""`python -m pipeline.table`: what it prints and the code it ends with."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.table import mark_success, write_run
from pipeline.table.__main__ import main


@pytest.fixture
def table(made: Any) -> Any:
    """Table with one unit committed, one pending, one row with an error."""
    made.plan("a.wav", "b.wav", "c.wav", seconds=30.0)
    made.commit(0, broken=["c/b.wav"])
    return made


def test_status_of_a_partial_table(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(table.output, "r", {"started": "2026-11-20T02:45:11+00:00", "work_seconds": 1860, "x_realtime": 1840.2,
                                  "exit_code": 4})  # fmt: skip
    assert main(["status", table.output]) == 4
    assert capsys.readouterr().out.splitlines() == [
        f"{table.output}   planned 2 units, 3 recordings, 90.0 s",
        "transcribe   digits-ctc 2f9c…",
        "  committed 1 (50.0 %)   pending 1",
        "  errors 1 recordings: decode.decode 1",
        "last run 2026-11-20 02:45, 31 min, 1,840x real time, exit code 4",
    ]


def test_status_for_programs(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table.commit(1)
    mark_success(table.output, ["transcribe"])
    assert main(["status", table.output, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"][0]["errors"] == {"decode.decode": 1}
    assert (found["units"], found["recordings"], found["complete"]) == (2, 3, True)
    assert found["success"] == {"generation": 1, "tasks": ["transcribe"]}
    assert found["last_run"] is None


def test_status_counts_superseded_rows_apart(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table.plan("b.wav", version="2-2")
    table.commit()
    assert main(["status", table.output]) == 0
    out = capsys.readouterr().out
    assert "planned 3 units, 3 recordings, 130.0 s (1 rows superseded)" in out
    assert "errors 0 recordings" in out


def test_status_before_any_task(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav")
    assert main(["status", made.output]) == 4
    assert "no task has been run" in capsys.readouterr().out


def test_verify_codes(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", table.output]) == 4
    table.commit(1)
    assert main(["verify", table.output]) == 0
    table.file(1).write_bytes(b"")
    assert main(["verify", table.output]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"{table.output}: the promise holds  (")
    assert lines[2].startswith(f"{table.output}: BROKEN, 1 violation")
    assert lines[3].startswith(f"  {table.file(1)}: cannot be read as Parquet")


def test_errors(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["errors", table.output]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "transcribe: 1 row with an error",
        "  decode.decode  1",
        "      c/b.wav: not audio",
    ]
    assert main(["errors", table.output, "--task", "transcribe", "--examples", "0"]) == 0
    assert "… and 1 more" in capsys.readouterr().out


def test_vacuum_lists_then_deletes_what_is_old(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(table.output, "transcribe")
    old, young = (folder / f".{n * 32}.parquet.{n * 32}.tmp" for n in "ab")
    probe = Path(table.output, f"_probe-{'c' * 32}")
    for file in (old, young, probe):
        file.write_bytes(b"half")
    for file in (old, probe):
        os.utime(file, (time.time() - 90_000, time.time() - 90_000))
    assert main(["vacuum", table.output]) == 0
    out = capsys.readouterr().out
    assert str(old) in out
    assert str(young) not in out
    assert "2 left-over files; add --delete to remove" in out
    assert old.exists()
    assert main(["vacuum", table.output, "--delete"]) == 0
    assert (old.exists(), probe.exists(), young.exists()) == (False, False, True)
    assert main(["vacuum", table.output, "--delete", "--min-age", "0s"]) == 0
    assert "removed 1 left-over file" in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 2
    assert table.file(0).exists()


@pytest.mark.parametrize("command", ["status", "verify", "errors"])
def test_a_mistake_is_one_line_and_code_2(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, str(tmp_path / "nowhere")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "nowhere: " in captured.err


def test_a_bad_age_is_a_usage_error(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["vacuum", table.output, "--min-age", "soon"])
    assert "'soon' is not a number with a unit" in capsys.readouterr().err
