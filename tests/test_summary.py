"""The closing words of a run."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from typing import Any

import pytest

from pipeline.summary import COMPLETE, ERRORS, MEANINGS, PARTIAL, RunSummary, TaskTotals, format_summary


def summary(**changes: Any) -> RunSummary:
    values: dict[str, Any] = {
        "run": "20260102T030405-ab12", "exit_code": COMPLETE, "output": "/data/out",
        "task": "transcribe", "name": "transcribe-v2",
        "model": {"name": "digits", "hash": "2f9c"}, "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00", "config": {"window": 10.0}, "sources": ("/data/in",),
        "planned_recordings": 1200, "planned_units": 12, "new_recordings": 1200, "units": 12, "rows": 1200,
        "audio_seconds": 7200.0, "startup_seconds": 10.0, "first_audio_seconds": 600.0, "work_seconds": 76.0,
        "stage_seconds": {"read": 1.0, "features": 20.0, "model": 60.0, "wait": 3.5, "commit": 2.0},
        "slowest": "model", "frames_computed": 400_000,
        "context_share": 0.1724, "padding_share": 0.004, "peak_bytes": {"model": 512_000_000, "driver": 300_000_000},
    }  # fmt: skip
    return RunSummary(**values | changes)


def lines(**changes: Any) -> dict[str, str]:
    """First word of each line -> the line."""
    return {line.split()[0]: line for line in format_summary(summary(**changes)).splitlines()}


def test_a_complete_run_says_how_much_how_fast_and_where_the_time_went() -> None:
    text = format_summary(summary())
    assert text.splitlines() == [
        "1,200 transcribed, 0 errors  ·  2.0 h audio  ·  76.0 s (start-up 10.0 s)  ·  100x real time",
        "plan    1,200 recordings in 12 units, 1,200 new in this run",
        "time    read 1.0 s  features 20.0 s  model 60.0 s  commit 2.0 s  ·  slowest: model  ·  "
        "the model waited 3.5 s for input",
        "frames  400,000 computed, of these 17.2% context of windows, 0.4% padding",
        "memory  model 512 MB  driver 300 MB at the peak",
        "table   /data/out    "
        + "python -c \"import pipeline; print(pipeline.read_table('/data/out', task='transcribe-v2').to_pandas())\"",
        "exit    0: complete",
    ]


@pytest.mark.parametrize("name", ["transcribe", "v2", "it's"])
@pytest.mark.parametrize("output", ["/data/out", "/da ta/o'ut", '/a"b', "s3://bucket/o#1"])
def test_the_command_that_reads_the_table_can_be_pasted(output: str, name: str) -> None:
    line = lines(output=output, name=name)["table"]
    command = shlex.split(line[line.index("python -c") :])
    assert command[:2] == ["python", "-c"]
    code = command[2].replace("import pipeline; ", "").replace("pipeline.read_table(", "Shown(")
    shown = (
        "class Shown:\n"
        "    def __init__(self, output, *, task='transcribe'): self.said = f'{output} {task}'\n"
        "    def to_pandas(self): return self.said\n"
    )
    said = subprocess.run([sys.executable, "-c", shown + code], capture_output=True, text=True, check=True).stdout
    assert said == f"{output} {name}\n"


def test_units_of_another_run_are_told_apart() -> None:
    assert lines(taken=1)["taken"] == "taken   1 unit that another run had committed meanwhile"
    assert "taken" not in lines()


def test_start_up_and_the_first_unit_are_left_out_of_the_speed() -> None:
    assert summary().speed == pytest.approx((7200 - 600) / 66)
    assert summary(startup_seconds=None, first_audio_seconds=0.0).speed == pytest.approx(7200 / 76)


@pytest.mark.parametrize(("work", "speed"), [(10.5, 7200 / 10.5), (0.0, 0.0)])
def test_speed_of_next_to_no_work_is_that_of_all_of_it(work: float, speed: float) -> None:
    assert summary(work_seconds=work, audio_seconds=7200.0 if work else 0.0).speed == pytest.approx(speed)


def test_nothing_to_do_is_said_in_so_many_words() -> None:
    text = format_summary(
        summary(
            work_seconds=0.0,
            rows=0,
            audio_seconds=0.0,
            stage_seconds={},
            new_recordings=0,
            table_rows=1200,
            table_errors=7,
        )
    )
    assert text.startswith(
        "nothing to do: every planned recording is already in the table, 1,200 rows, 7 with an error\n"
    )
    assert "time " not in text


def test_errors_stand_by_reason_the_most_frequent_first_with_an_example_and_a_next_step() -> None:
    found = format_summary(
        summary(
            exit_code=ERRORS,
            errors={"read.missing": 1, "decode.decode": 70},
            examples={"decode.decode": "c/a.wav: not audio", "read.missing": "c/b.wav: gone"},
            warnings=3,
            table_errors=71,
        )
    )
    assert found.startswith("1,129 transcribed, 71 errors")
    assert found.index("errors  decode.decode: 70, such as c/a.wav: not audio") < found.index("errors  read.missing: 1")
    assert "warned  3 rows have an entry in the column `warnings`" in found
    assert "next    python -m pipeline.table errors /data/out" in found
    assert found.endswith(f"exit    3: {MEANINGS[ERRORS]}")


@pytest.mark.parametrize(
    ("task", "done"),
    [
        ("transcribe", "transcribed"),
        ("classify", "classified"),
        ("frames", "labelled"),
        ("embed", "embedded"),
        ("label", "rows labelled"),
    ],
)
def test_what_was_done_to_the_rows_is_named(task: str, done: str) -> None:
    assert format_summary(summary(task=task)).startswith(f"1,200 {done}, 0 errors  ·")


def test_one_error_is_singular() -> None:
    assert format_summary(summary(errors={"decode.decode": 1})).startswith("1,199 transcribed, 1 error  ·")


def test_errors_of_superseded_rows_stand_beside() -> None:
    found = format_summary(summary(errors={"read.changed": 2}, superseded=20))
    assert found.startswith("1,178 transcribed, 2 errors and 20 superseded rows  ·")
    assert "errors  read.changed: 2\n" in found  # its only example was of a superseded row


def test_a_partial_run_says_what_is_left_why_and_that_the_same_command_goes_on() -> None:
    found = lines(exit_code=PARTIAL, pending_units=2, units=10, faults={"3f9a" * 8: "read: 503", "aaaa" * 8: "x"})
    assert found["plan"].endswith("1,200 new in this run, 2 units pending")
    assert found["faults"] == "faults  2 units pending after a failure, such as 3f9a3f9a…: read: 503"
    assert found["next"].startswith("next    run the same command again: what is committed stays")
    assert found["exit"].startswith("exit    4: partial")


def test_a_run_that_was_stopped_says_by_what_and_blames_no_worker() -> None:
    found = lines(exit_code=PARTIAL, pending_units=5, stopped="by SIGTERM")
    assert found["stopped"] == "stopped by SIGTERM"
    assert "late" not in found


def test_units_of_which_only_their_files_tell_have_no_time_and_no_frames() -> None:
    found = lines(exit_code=PARTIAL, stopped="by SIGTERM", late=3)
    assert found["late"] == "late    3 units committed as the run ended, their time and frames not counted"


def test_what_planning_could_not_read_is_listed_up_to_five() -> None:
    found = format_summary(summary(problems=tuple(f"file:///{n}.tar: truncated" for n in range(8))))
    assert [line for line in found.splitlines() if line.startswith("unread")] == [
        *(f"unread  file:///{n}.tar: truncated" for n in range(5)),
        "unread  and 3 more, see _runs/20260102T030405-ab12.json",
    ]


def test_the_record_of_a_run_is_json() -> None:
    model = {"name": "digits", "hash": "2f9c"}
    part = TaskTotals(kind="embed", name="voices", model=model, pending_units=1, rows=9, errors=2)
    record = json.loads(json.dumps(summary(errors={"decode.decode": 1}, tasks=(part,)).to_json()))
    assert record["tasks"] == [
        {"kind": "embed", "name": "voices", "model": model, "pending_units": 1, "rows": 9, "errors": 2}
    ]
    assert record["meaning"] == "complete"
    assert record["x_realtime"] == 100.0
    assert record["config"] == {"window": 10.0}
    assert (record["sources"], record["errors"]) == (["/data/in"], {"decode.decode": 1})
    assert set(MEANINGS) == {0, 1, 2, 3, 4}


def test_units_that_took_several_attempts_are_counted_with_an_example() -> None:
    assert "tries" not in lines()
    told = lines(attempts={"0123456789" * 3: 4, "f" * 32: 2})
    assert told["tries"] == "tries   2 units took more than one attempt, such as 4 at unit 01234567…"


def test_a_manifest_names_only_so_many_units():
    units = {f"{number:032x}": number for number in range(1200)}
    record = summary(faults=dict.fromkeys(units, "lost"), attempts=units).to_json()
    assert (len(record["faults"]), record["failed_units"]) == (1000, 1200)
    assert (len(record["attempts"]), record["retried_units"]) == (1000, 1200)
    assert record["faults"].keys() == record["attempts"].keys() == set(list(units)[:1000])
