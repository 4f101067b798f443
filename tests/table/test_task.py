"""Labels of another model or of other parameters are never mixed in."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.table import declare, read_table, task
from pipeline.table.__main__ import main
from pipeline.table.publish import read_published
from pipeline.table.status import status
from pipeline.table.task import decode_record, encode_record, next_name, read_record, tasks


def test_the_first_run_writes_it_and_the_second_agrees(made: Any) -> None:
    made.declare()
    text = Path(made.output, "transcribe/_task.json").read_text()
    assert json.loads(text)["model"] == {"name": "digits-ctc", "hash": made.record.model_hash}
    made.declare()
    assert Path(made.output, "transcribe/_task.json").read_text() == text
    assert read_record(made.output, "transcribe") == made.record
    assert tasks(made.output) == ["transcribe"]


def test_another_checkpoint_is_refused(made: Any) -> None:
    made.declare()
    other = dataclasses.replace(made.record, model_hash="81aa" + "0" * 60, model_name="digits-2")
    with pytest.raises(
        UserError,
        match=r"/out/transcribe was written by another model \(digits-ctc 2f9c…, now 81aa…\)\. "
        r"Use --name transcribe-v2 to put the new labels beside the old, then compare them\.$",
    ):
        declare(made.output, "transcribe", other)
    declare(made.output, "transcribe-v2", other)
    assert tasks(made.output) == ["transcribe", "transcribe-v2"]


def test_the_same_checkpoint_under_another_name_is_the_same(made: Any) -> None:
    made.declare()
    renamed = dataclasses.replace(made.record, model_name="copy-of-digits")
    assert declare(made.output, "transcribe", renamed).model_name == "digits-ctc"


def test_parameters_are_named_one_by_one(made: Any) -> None:
    made.declare()
    other = dataclasses.replace(made.record, parameters={"window": "20s", "dtype": "auto", "beam": "8"})
    with pytest.raises(
        UserError, match=r"with other parameters \(window 14s, now 20s; beam unset, now 8\)\. Use --name"
    ):
        declare(made.output, "transcribe", other)


def test_another_output_version_or_task_is_refused(made: Any) -> None:
    made.declare()
    with pytest.raises(UserError, match=r"by another release \(output version 1, now 2\)"):
        declare(made.output, "transcribe", dataclasses.replace(made.record, output_version=2))
    with pytest.raises(UserError, match=r"by another task \(transcribe, now embed\)"):
        declare(made.output, "transcribe", dataclasses.replace(made.record, task="embed"))


def test_columns_are_only_added(made: Any) -> None:
    made.declare()
    more = made.record.schema.append(pa.field("language", pa.string()))
    grown = declare(made.output, "transcribe", dataclasses.replace(made.record, schema=more))
    assert grown.schema.names == more.names
    made.declare()
    assert read_record(made.output, "transcribe").schema.names == more.names
    other_type = made.record.schema.set(0, pa.field("id", pa.int64()))
    with pytest.raises(ValueError, match="column id was string, now int64"):
        declare(made.output, "transcribe", dataclasses.replace(made.record, schema=other_type))


def test_a_damaged_record_is_an_error(made: Any) -> None:
    made.declare()
    Path(made.output, "transcribe/_task.json").write_text('{"task": "transcribe"')
    with pytest.raises(UserError, match=r"_task\.json: the record of the task is damaged.*Restore"):
        made.declare()


def test_units_without_a_record_take_no_labels(made: Any) -> None:
    made.plan("a.wav", "b.wav")
    made.commit(0)
    record = Path(made.output, "transcribe/_task.json")
    text = record.read_text()
    record.unlink()
    other = dataclasses.replace(made.record, model_hash="81aa" + "0" * 60)
    for now in (other, made.record):
        with pytest.raises(
            UserError,
            match=r"transcribe/_task\.json: the record of the task is gone, and the folder holds units of a model that "
            r"nobody knows\. Restore the file, or move the folder away\.$",
        ):
            declare(made.output, "transcribe", now)
    assert not record.exists()
    assert tasks(made.output) == ["transcribe"]
    for look in (read_table, status):
        with pytest.raises(UserError, match="the record of the task is gone"):
            look(made.output)
    record.write_text(text)
    made.declare()
    assert status(made.output).tasks[0].committed == 1


def test_who_comes_second_sees_the_record_of_the_first(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a.wav")
    read = task.read_bytes

    def late(uri: str, **_: Any) -> bytes:
        monkeypatch.setattr(task, "read_bytes", read)
        made.commit(0)
        raise FileNotFoundError(uri)

    monkeypatch.setattr(task, "read_bytes", late)
    other = dataclasses.replace(made.record, model_hash="81aa" + "0" * 60)
    with pytest.raises(UserError, match="was written by another model"):
        declare(made.output, "transcribe", other)


def test_a_missing_task_names_the_others(made: Any) -> None:
    with pytest.raises(UserError, match="there is no task embed in this output; no task has been run there"):
        read_record(made.output, "embed")
    made.declare()
    with pytest.raises(UserError, match="there is no task embed in this output; there are transcribe"):
        read_record(made.output, "embed")


def test_record_without_schema_comes_back(made: Any) -> None:
    plain = dataclasses.replace(made.record, schema=None)
    assert decode_record(encode_record(plain)) == plain


@pytest.mark.parametrize(
    ("name", "following"),
    [("transcribe", "transcribe-v2"), ("transcribe-v2", "transcribe-v3"), ("a-v9", "a-v10"), ("x-vy", "x-vy-v2")],
)
def test_next_name(name: str, following: str) -> None:
    assert next_name(name) == following


def test_a_name_as_the_shell_completes_it_is_the_name(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav")
    made.commit(broken=["c/a.wav"])
    assert read_table(made.output, task="transcribe/").count_rows() == 1
    assert main(["publish", made.output, "--task", "transcribe/"]) == 0
    assert "task='transcribe')" in capsys.readouterr().out
    assert read_published(made.output, task="transcribe/").count_rows() == 1
    assert main(["errors", made.output, "--task", "transcribe//"]) == 0
    assert capsys.readouterr().out.startswith("transcribe: 1 row with an error")


@pytest.mark.parametrize("name", ["out/transcribe", "../transcribe", "s3://b/transcribe", "/", "_plan", ".x"])
def test_what_is_no_name_of_a_task_is_refused_before_anything_is_looked_for(name: str, made: Any) -> None:
    for read in (read_table, read_published):
        with pytest.raises(UserError, match="is no name of a task; give the name of its folder below the output"):
            read(made.output, task=name)


def test_no_error_at_all_is_no_wrong_reason(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    made.plan("a.wav")
    made.commit()
    assert main(["errors", made.output, "--again", "--reason", "read.missing"]) == 0
    assert capsys.readouterr().out == "no row has the error read.missing\nnothing has been planned\n"
