"""`python -m pipeline.table`: what it prints and the code it ends with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.plan.forgotten import remember
from pipeline.table import write_run
from pipeline.table.__main__ import main
from pipeline.table.lease import Lease, held
from tests.hurry import hurry
from tests.jobs.corpora import ROOT
from tests.table.conftest import mark_success


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
        "  errors 1 recording: decode.decode 1",
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
    assert (found["last_run"], found["run_ended"], found["claimed"]) == (None, None, True)


def test_status_counts_superseded_rows_apart(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table.plan("b.wav", version="2-2")
    table.commit()
    assert main(["status", table.output]) == 0
    out = capsys.readouterr().out
    assert "planned 3 units, 3 recordings, 100.0 s (1 row superseded)" in out
    assert "errors 0 recordings" in out
    remember(table.output, ["c/b.wav", "c/c.wav"])
    assert main(["status", table.output]) == 0
    assert "1 recording, 30.0 s (1 row superseded) (3 rows forgotten)" in capsys.readouterr().out


def test_status_before_any_task(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav")
    assert main(["status", made.output]) == 4
    assert "no task has been run" in capsys.readouterr().out


def test_status_says_why_the_last_run_stopped_and_what_failed(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    faults = {"0123456789abcdef" * 2: "s3://key:secret@b/x: SlowDown (503) while writing", "f" * 32: "later"}
    write_run(table.output, "r", {"started": "2026-11-20T02:45:11+00:00", "exit_code": 4, "stopped": "by SIGTERM",
                                  "faults": faults, "attempts": {"ab" * 16: 4}, "retried_units": 3})  # fmt: skip
    assert main(["status", table.output]) == 4
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "last run 2026-11-20 02:45, exit code 4",
        "  attempts 3 units took more than one, such as 4 at unit abababab…",
        "  stopped by SIGTERM",
        "  faults 2, such as unit 01234567…: s3://***@b/x: SlowDown (503) while writing",
    ]


def test_status_of_a_run_without_an_end(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(table.output, "r", {"started": "2026-11-21T10:00:07+00:00", "state": "running"})
    assert main(["status", table.output]) == 4
    last = "last run began 2026-11-21 10:00 and has not ended: it is at work, or it died"
    assert capsys.readouterr().out.splitlines()[-1] == last
    assert main(["status", table.output, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["run_ended"] is False
    write_run(table.output, "r", {"started": "2026-11-21T10:00:07+00:00", "state": "ended", "exit_code": 0})
    assert main(["status", table.output, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["run_ended"] is True


def test_status_says_whether_the_claim_is_of_the_whole_plan(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table.commit(1)
    mark_success(table.output, ["transcribe"])
    assert main(["status", table.output]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "_SUCCESS   claims generation 1, the last one, for transcribe"
    table.plan("d.wav")
    Path(table.output, "_SUCCESS").write_text('{"generation": 1, "tasks": ["transcribe"]}')
    assert main(["status", table.output, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["claimed"] is False
    assert main(["status", table.output]) == 4
    assert "claims generation 1, but the plan ends with 2, for transcribe" in capsys.readouterr().out


def test_status_misses_a_task_that_was_claimed(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table.commit(1)
    Path(table.output, "_SUCCESS").write_text('{"generation": 1, "tasks": ["embed", "transcribe"]}')
    assert main(["status", table.output]) == 4
    told = "claims generation 1, the last one, for embed, transcribe; of these embed is not there; delete _SUCCESS if "
    told += "that is meant, the next run writes it"
    assert capsys.readouterr().out.splitlines()[-1] == f"_SUCCESS   {told}"
    assert main(["status", table.output, "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert (found["complete"], found["missing"]) == (False, ["embed"])


def test_damaged_notes_do_not_stop_status(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(table.output, "r", {})
    success, run = Path(table.output, "_SUCCESS"), Path(table.output, "_runs/r.json")
    for junk in (b"yes", b"[1]", b"\xff\xfe", b""):
        success.write_bytes(junk)
        run.write_bytes(junk)
        assert main(["status", table.output]) == 4
        lines = capsys.readouterr().out.splitlines()
        assert lines[2] == "  committed 1 (50.0 %)   pending 1"
        assert lines[-2].startswith(f"damaged   {success}: names no generation and tasks. Delete it")
        assert lines[-1].startswith(f"damaged   {run}: the manifest is damaged. Delete it")
    assert main(["status", table.output, "--json"]) == 4
    assert len(json.loads(capsys.readouterr().out)["damaged"]) == 2


@pytest.mark.parametrize("junk", [b"", b"nothing that Parquet would begin or end with"])
@pytest.mark.parametrize("command", ["status", "errors"])
def test_a_file_that_is_no_unit_is_named_beside_the_rest(
    command: str, junk: bytes, table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    table.file(1).write_bytes(junk)
    assert main([command, table.output]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"damaged   {table.file(1)}: ")
    assert lines[-1].endswith(" Delete it; the next run does that unit again.")
    assert "decode.decode" in "".join(lines[:-1])


def test_verify_codes(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", table.output]) == 4
    table.commit(1)
    assert main(["verify", table.output]) == 0
    table.file(1).write_bytes(b"")
    assert main(["verify", table.output]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(f"{table.output}: the promise holds  (")
    assert lines[2].startswith(f"{table.output}: BROKEN, 1 violation")
    assert lines[3] == f"  {table.file(1)}: is no unit's file (0 bytes). Delete it; the next run does that unit again."


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
    dead, alive = (Path(table.output, "_leases", f"{name}.json") for name in ("dead", "alive"))
    alive.parent.mkdir()
    for file in (old, young, probe, dead, alive):
        file.write_bytes(b"half")
    for file in (old, probe, dead):
        os.utime(file, (time.time() - 90_000, time.time() - 90_000))
    assert main(["vacuum", table.output]) == 0
    out = capsys.readouterr().out
    assert str(old) in out
    assert str(young) not in out
    assert "3 left-over files; add --delete to remove" in out
    assert old.exists()
    assert main(["vacuum", table.output, "--delete"]) == 0
    assert [file.exists() for file in (old, probe, dead, young, alive)] == [False, False, False, True, True]
    assert main(["vacuum", table.output, "--delete", "--min-age", "0s"]) == 0
    assert "removed 1 left-over file" in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 2
    assert table.file(0).exists()
    assert alive.exists()


@pytest.mark.parametrize("command", ["status", "verify", "errors", "vacuum"])
@pytest.mark.parametrize("place", ["nowhere", "folder", "folder/file"])
def test_what_is_no_table_is_one_line_and_code_2(
    command: str, place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("x")
    assert main([command, str(tmp_path / place)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"{tmp_path / place}: there is no table here")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["status", "out", "--jsno"], "voxmill status: unrecognized arguments: --jsno (did you mean --json?). See "
         "voxmill status --help\n"),
        (["status", "out", "s3://key:secret@b/x"], "voxmill status: unrecognized arguments: s3://***@b/x. See "
         "voxmill status --help\n"),
        (["status"], "voxmill status: the following arguments are required: OUTPUT. See voxmill status --help\n"),
        (["status", "out", "--quick"], "voxmill status: unrecognized arguments: --quick (--quick is an option of "
         "verify). See voxmill status --help\n"),
        (["errors"], "voxmill errors: the following arguments are required: OUTPUT. See voxmill errors --help\n"),
        (["errors", "out", "--examples", "-3"], "voxmill errors: argument --examples: '-3' is no whole number from 0 "
         "up; write it as 4. See voxmill errors --help\n"),
        (["errors", "out", "--examples", "x"], "voxmill errors: argument --examples: 'x' is no whole number from 0 "
         "up; write it as 4. See "
         "voxmill errors --help\n"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_by_the_name_that_was_called(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(words, prog="voxmill")
    assert capsys.readouterr().err == answer


@pytest.mark.parametrize("command", ["status", "verify", "errors", "vacuum"])
@pytest.mark.parametrize(
    ("status", "fault", "code", "tries", "said"),
    [(503, "SlowDown", 4, 2, "SlowDown (503)"), (400, "BadRequest", 2, 1, "Check AWS_ENDPOINT_URL")],
)
def test_a_busy_store_and_a_wrong_endpoint_are_told_soon(
    command: str, status: int, fault: str, code: int, tries: int, said: str,
    s3_proxy: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    hurry(monkeypatch, tries=6)
    s3_proxy.refuse("^GET ", status=status, code=fault)
    assert main([command, f"{s3_proxy.bucket.uri}/out"]) == code
    assert len(s3_proxy.requests) == tries
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "verify", "publish"])
def test_connections_that_break_are_told_soon_and_worth_another_try(
    command: str, s3_proxy: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hurry(monkeypatch, tries=6)
    s3_proxy.lose_answer("^GET ")
    assert main([command, f"{s3_proxy.bucket.uri}/out"]) == 4
    captured = capsys.readouterr()
    assert captured.err.endswith("Check AWS_ENDPOINT_URL and the network. Nothing is lost; try again.\n")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "verify", "errors", "vacuum"])
def test_credentials_in_a_uri_are_not_shown(
    command: str, s3_environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "s3://AKIAKEY:geheim@bucket/out"]) == 2
    captured = capsys.readouterr()
    assert "s3://***@bucket/out" in captured.err
    assert "geheim" not in captured.err + captured.out


@pytest.mark.parametrize("name", ["_SUCCESS", "_runs/r.json", "transcribe/_task.json"])
def test_a_closed_object_is_one_line(name: str, made: Any, s3_proxy: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav")
    made.commit()
    mark_success(made.output, ["transcribe"])
    write_run(made.output, "r", {"exit_code": 0})
    s3_proxy.refuse(f"^GET .*/{name}", status=403, code="AccessDenied")
    assert main(["status", made.output]) == (2 if name.startswith("transcribe") else 0)
    captured = capsys.readouterr()
    (line,) = [line for line in (captured.out + captured.err).splitlines() if "access denied" in line]
    assert f"{made.output}/{name}: access denied (403) while reading" in line


def test_what_is_listed_and_told_hides_credentials(
    table: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "out/geheim")
    Path(table.output, "geheim").symlink_to(table.output)
    output = f"{table.output}/geheim"
    Path(table.output, f"_probe-{'c' * 32}").write_bytes(b"x")
    for words in (["vacuum", output, "--min-age", "0s"], ["status", output], ["status", output, "--json"]):
        assert main(words) in (0, 4)
    assert main(["verify", output]) == 4
    out = capsys.readouterr().out
    assert "geheim" not in out
    assert out.count("/***") == 4


def test_a_bad_age_is_a_usage_error(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["vacuum", table.output, "--min-age", "soon"])
    assert "'soon' is not a number with a unit" in capsys.readouterr().err


def test_publish(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", table.output]) == 0
    told, door = capsys.readouterr().out.splitlines()
    assert told.startswith("transcribe: 2 rows of 1 unit in 1 file, 0.0 MB; 1 new unit, 1 new file, 0 replaced")
    assert (
        door
        == f"  {table.output}/_published/transcribe/    pipeline.read_published({table.output!r}, task='transcribe')"
    )
    assert main(["publish", table.output, "--task", "transcribe", "--partition-by", "key", "--file-bytes", "1MB"]) == 0
    assert (
        "2 rows of 1 unit in 2 files, 0.0 MB, by key; 0 new units, 2 new files, 1 replaced" in capsys.readouterr().out
    )
    assert main(["publish", table.output, "--partition-by", "words"]) == 2
    assert capsys.readouterr().err.startswith("--partition-by: 'words' cannot name folders; these columns can: id, ")
    with pytest.raises(SystemExit, match="2"):
        main(["publish", table.output, "--file-bytes", "0"])


def test_publish_ends_with_4_where_a_published_unit_is_not_committed(
    table: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", table.output]) == 0
    table.file(0).unlink()
    assert main(["publish", table.output]) == 4
    assert "  1 published unit is not committed now; its rows stay\n" in capsys.readouterr().out
    (published,) = Path(table.output, "_published/transcribe").glob("*.parquet")
    published.unlink()
    assert main(["publish", table.output]) == 4
    assert "  1 unit is not published any more, nor committed; run the job again\n" in capsys.readouterr().out


def test_status_names_the_units_that_fail_and_how_often(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    done, left = table.units[0].name, table.units[1].name
    write_run(table.output, "1", {"exit_code": 4, "faults": {left: "first", done: "later it was done"}})
    write_run(table.output, "2", {"exit_code": 4, "faults": {}})
    write_run(table.output, "3", {"exit_code": 4, "faults": {left: "s3://key:geheim@b:\nSlowDown"}, "failed_units": 7})
    Path(table.output, "_runs/0.json").write_text("damaged")
    assert main(["status", table.output]) == 4
    lines = capsys.readouterr().out.splitlines()
    told = f"failing 1 (unit {left[:8]}…, in 2 runs of the last 20, last: s3://***@b: SlowDown)"
    assert lines[2] == f"  committed 1 (50.0 %)   pending 1   {told}"
    assert lines[-1].startswith("  faults 7, such as")
    assert main(["status", table.output, "--json"]) == 4
    (failing,) = json.loads(capsys.readouterr().out)["tasks"][0]["failing"]
    assert (failing["unit"], failing["runs"]) == (left, 2)
    table.commit(1)
    assert main(["status", table.output]) == 0
    assert "failing" not in capsys.readouterr().out


def test_status_tells_a_run_at_work_from_one_that_died(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(
        table.output, "r", {"run": "r", "started": "2026-11-21T10:00:07+00:00", "state": "running", "lease": True}
    )
    with held(table.output, Lease("r", "node-7", 99, "2026-11-21T10:00:07+00:00")):
        assert main(["status", table.output]) == 4
        lines = capsys.readouterr().out.splitlines()
        assert lines[-2].startswith("at work   run r on node-7, process 99, last sign ")
        assert lines[-1] == "last run began 2026-11-21 10:00 and is at work"
    assert main(["status", table.output]) == 4
    dead = "gives no sign of life: it died, or its storage took nothing more (a full disk)"
    assert capsys.readouterr().out.splitlines()[-1] == f"last run began 2026-11-21 10:00 and {dead}"


def test_a_signal_ends_a_command_in_one_line(
    table: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.table.__main__.look_for_table", lambda output: signal.raise_signal(signal.SIGINT))
    assert main(["verify", table.output]) == 4
    assert capsys.readouterr().err == "stopped by SIGINT. Nothing is lost; the same command goes on.\n"


@pytest.mark.parametrize("command", ["explain", "forget"])
def test_an_id_that_is_no_text_is_one_line(command: str, table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, table.output, "c/caf\udce9.wav"]) == 2
    told = "c/caf\\xe9.wav: is no UTF-8, as ids and the folder of a table are; write an id as the column `id` has it\n"
    assert capsys.readouterr().err == told


def test_an_id_of_other_bytes_from_the_shell(table: Any) -> None:
    words = [sys.executable, "-m", "pipeline.table", "explain", table.output, b"c/caf\xe9.wav"]
    done = subprocess.run(words, capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"c/caf\\xe9.wav: is no UTF-8")
