"""What a run decides by itself: its exit code, and what each worker is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import config
from pipeline.flow import Settings
from pipeline.job import TaskJob, Work
from pipeline.plan import NOWHERE, UnitRef
from pipeline.run import _exit_code, _lacking
from pipeline.summary import TaskTotals
from pipeline.table import Standing
from pipeline.working import job_of


def exit_code(
    *tasks: tuple[int, int], listed: int, absent: int = 0, problems: int = 0, left: bool = False, **options: Any
) -> int:
    """Of a run after which the tables of its tasks have so many rows, and so many of them with an error."""
    report: Any = SimpleNamespace(recordings=listed, absent=absent, num_problems=problems)
    totals = [
        TaskTotals(kind="transcribe", name=f"t{number}", model={}, pending_units=0, rows=rows, errors=errors)
        for number, (rows, errors) in enumerate(tasks)
    ]
    return _exit_code(report, totals, left=left, config=config.make(options))


@pytest.mark.parametrize(
    ("listed", "problems", "rows", "errors", "left", "zero", "code"),
    [
        (100, 0, 100, 5, False, False, 0),  # no more than 5 %
        (100, 0, 100, 6, False, False, 3),
        (100, 0, 100, 6, False, True, 0),
        (94, 6, 94, 0, False, False, 3),  # what cannot be planned is held against all that was listed
        (94, 6, 1000, 0, False, False, 3),
        (95, 5, 95, 0, False, False, 0),
        (0, 0, 0, 0, False, False, 0),
        (100, 0, 50, 50, True, False, 4),  # what is left to do is told first
        (100, 0, 50, 0, True, True, 4),
    ],
)
def test_the_exit_code_says_what_became_of_the_table(listed, problems, rows, errors, left, zero, code):
    found = exit_code((rows, errors), listed=listed, problems=problems, left=left, exit_zero_on_errors=zero)
    assert found == code


def test_what_is_listed_and_away_for_a_night_counts_as_listed():
    assert exit_code((101, 0), listed=1, absent=100, problems=1) == 0
    assert exit_code((101, 0), listed=1, problems=1) == 3


def test_no_task_hides_the_errors_of_another():
    assert exit_code((100, 0), (100, 6), (100, 0), listed=100) == 3
    assert exit_code((100, 5), (100, 5), listed=100) == 0
    assert exit_code((100, 0), (100, 6), listed=100, exit_zero_on_errors=True) == 0


@pytest.mark.parametrize(
    ("asked", "device", "dtype", "frames"),
    [
        ("auto", "cpu", "float32", "float32"),
        ("auto", "cuda", "bfloat16", "float16"),
        ("float32", "cuda", "float32", "float32"),
        ("float16", "cpu", "float16", "float16"),
        ("int8", "cpu", "int8", "float32"),
    ],
)
def test_frames_are_carried_as_precisely_as_the_model_takes_them(asked, device, dtype, frames):
    settings = config.make({"model": "m", "dtype": asked, "window": "6s", "context": "0.5s", "features": "float32"})
    task = TaskJob(kind="transcribe", name="transcribe", model_name="m", model_hash="h", encoder="e")
    asked_for: Any = SimpleNamespace(name="r", output="file:///out", config=settings, moves=NOWHERE)
    needed: Any = (SimpleNamespace(job=task),)
    job = job_of(asked_for, needed, device)
    assert (job.device, job.dtype) == (device, dtype)
    assert job.settings == Settings(window=300, context=25, features="float32", dtype=frames)
    assert (job.run, job.output, job.tasks, job.config) == ("r", "file:///out", (task,), settings)


def test_units_lack_what_each_task_has_pending():
    units = [UnitRef(f"u{number}", 1, 0, number, 1, 1.0, 1) for number in range(4)]
    before = {"a": Standing({}, (units[2], units[0])), "b": Standing({}, (units[2], units[3]))}
    assert _lacking(units, before) == [Work(units[0], ("a",)), Work(units[2], ("a", "b")), Work(units[3], ("b",))]
