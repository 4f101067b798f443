"""Which rows are judged, and what is refused before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pipeline
from pipeline.errors import UserError
from pipeline.evaluation import run
from pipeline.table import TaskRecord, declare
from pipeline.table.schema import schema


def test_there_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no table here"):
        pipeline.evaluate(tmp_path)


def test_a_table_before_any_task(table: Any, row: Any, tmp_path: Path) -> None:
    output = table("transcribe", [row("a.wav", {"text": "x"}, "x")])
    (tmp_path / "out" / "transcribe").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="no task has been run there"):
        pipeline.evaluate(output)


def test_of_several_tasks_one_is_chosen(words: str) -> None:
    declare(words, "transcribe-v2", TaskRecord(task="transcribe", output_version=1, model_name="m", model_hash="1"))
    with pytest.raises(UserError, match="choose one with --task: transcribe, transcribe-v2"):
        pipeline.evaluate(words)
    assert pipeline.evaluate(words, task="transcribe").name == "transcribe"


def test_an_unknown_task_folder(words: str) -> None:
    with pytest.raises(UserError, match=r"there is no task embed in this output; there are transcribe"):
        pipeline.evaluate(words, task="embed")


def test_a_task_that_cannot_be_scored(words: str) -> None:
    declare(words, "x", TaskRecord(task="translate", output_version=1, model_name="m", model_hash="1"))
    with pytest.raises(
        UserError, match=r"out/x: rows of the task translate cannot be scored, only transcribe, classify"
    ):
        pipeline.evaluate(words, task="x")


def test_columns_that_are_missing(words: str) -> None:
    record = TaskRecord(
        task="frames", output_version=1, model_name="m", model_hash="1", schema=schema([pa.field("text", pa.string())])
    )
    declare(words, "y", record)
    with pytest.raises(
        UserError, match=r"out/y: the rows have no column 'frames', which their task writes; there are id"
    ):
        pipeline.evaluate(words, task="y")


def test_the_record_says_what_a_folder_of_another_name_holds(table: Any, row: Any) -> None:
    output = table("transcribe", [row("a.wav", {"text": "x"}, "x")], name="night-3")
    found = pipeline.evaluate(output)
    assert (found.name, found.task) == ("night-3", "transcribe")


def test_what_is_pending_is_said(table: Any, row: Any) -> None:
    rows = [row(f"{name}.wav", {"text": "x"}, "x") for name in "abcd"]
    found = pipeline.evaluate(table("transcribe", rows, left_pending=1))
    assert (found.rows, found.pending_units) == (2, 1)
    assert "| pending      | 1 unit |" in found.markdown()


def test_nothing_but_errors(table: Any, row: Any) -> None:
    output = table("transcribe", [row("a.wav", {}, "x", error=True)])
    with pytest.raises(UserError, match=r"no row has a result to compare \(1 with an error\)"):
        pipeline.evaluate(output)


def test_nothing_committed(table: Any, row: Any) -> None:
    with pytest.raises(UserError, match="no row is committed yet"):
        pipeline.evaluate(table("transcribe", [row("a.wav", {}, "x")], left_pending=1))


def test_every_task_has_its_judge() -> None:
    assert set(run.JUDGES) == {"transcribe", "classify", "frames", "embed"}
