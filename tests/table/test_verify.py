"""Each way in which the promise can be broken is found, with the file that breaks it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.plan.forgotten import remember
from pipeline.storage.fetch import read_range
from pipeline.storage.retry import attempt
from pipeline.table.__main__ import main
from pipeline.table.encode import encode
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import QUICK, WHOLE, Look, format_verdict, verify
from tests.plan.test_values import put
from tests.table.conftest import Made, mark_success


@pytest.fixture
def whole(made: Any) -> Any:
    """Table of three units of two recordings, all committed, one row with an error."""
    made.plan(*(f"{number}.wav" for number in range(6)), seconds=30.0)
    made.commit(0, broken=["c/0.wav"])
    made.commit(1, 2)
    return made


def messages(made: Any) -> list[str]:
    return [f"{Path(each.file).name}: {each.message}" for each in verify(made.output).violations]


def rewrite(file: Path, change: Callable[[pa.Table], pa.Table], **footer: str) -> None:
    table = pq.read_table(file)
    plain = {key: value for key, value in table.schema.metadata.items() if key == b"voxmill.schema"}
    file.write_bytes(encode(change(table.replace_schema_metadata(plain)), footer))


def replaced(name: str, values: list[Any]) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        column = table.schema.get_field_index(name)
        return table.set_column(column, table.schema.field(name), pa.array(values, type=table.schema.field(name).type))

    return change


def test_a_whole_table_holds(whole: Any) -> None:
    assert mark_success(whole.output, ["transcribe"])
    verdict = verify(whole.output)
    assert (verdict.holds, verdict.complete, verdict.units, verdict.recordings) == (True, True, 3, 6)
    assert format_verdict("out", verdict) == (
        "out: the promise holds  (transcribe: 3 of 3 units committed, 6 recordings in 6 rows of files, 1 row "
        "with an error)"
    )


def test_rows_of_older_versions_are_told_from_recordings(made: Any) -> None:
    made.plan("a", "b", "c", seconds=20.0)
    made.commit(broken=["c/a"])
    made.plan("a", version="2-2", seconds=20.0)
    made.commit(1)
    remember(made.output, ["c/b"])
    assert main(["forget", made.output, "--yes"]) == 0
    (task,) = verify(made.output).tasks
    assert (task.recordings, task.rows, task.errors) == (2, 3, 0)
    told = "2 recordings in 3 rows of files (1 of older versions), 0 rows with an error"
    assert f"{told})" in format_verdict("out", verify(made.output))
    quick = verify(made.output, look=QUICK)
    assert f"{told} and 1 that may be of older versions)" in format_verdict("out", quick)
    vacuum(made.output, min_age=0.0, dry_run=False)
    for look in (WHOLE, QUICK):
        assert verify(made.output, look=look).tasks[0].errors == 0
        assert "older versions" not in format_verdict("out", verify(made.output, look=look))


@pytest.mark.parametrize("look", [WHOLE, QUICK])
def test_rows_that_a_killed_forget_left_are_no_older_versions(made: Any, look: Look) -> None:
    made.plan("a", "b", "c", seconds=20.0)
    made.commit()
    remember(made.output, ["c/b", "c/c"])
    told = "1 recording in 3 rows of files (2 of forgotten recordings), 0 rows with an error"
    assert f"{told})" in format_verdict("out", verify(made.output, look=look))


@pytest.mark.parametrize("look", [WHOLE, QUICK])
def test_that_it_is_lost_what_is_forgotten_is_told_and_no_unit_is_to_be_done_again(whole: Any, look: Look) -> None:
    assert main(["forget", whole.output, "c/2.wav", "c/3.wav", "c/4.wav", "--yes"]) == 0
    assert main(["publish", whole.output]) == 0
    assert verify(whole.output, look=look).holds
    shutil.rmtree(Path(whole.output, "_forgotten"))
    told = [each.message for each in verify(whole.output, look=look).violations]
    assert len(told) == (4 if look is WHOLE else 2)  # what is published is counted by reading it
    for message, count in zip(told, ("2 rows", "1 row", "2 rows", "1 row"), strict=False):
        assert message.startswith(f"lacks {count} ")
        assert "Restore _forgotten/ from a backup" in message
        assert message.endswith("Delete it, to have it made anew, only if nothing was ever forgotten")


def test_a_claim_from_before_the_plan_grew_is_no_violation(whole: Any) -> None:
    mark_success(whole.output, ["transcribe"])
    claim = Path(whole.output, "_SUCCESS")
    before = claim.read_bytes()
    whole.plan("new.wav", seconds=30.0)
    claim.write_bytes(before)  # a run that overlaps ends after the plan has grown
    verdict = verify(whole.output)
    assert (verdict.holds, verdict.complete, verdict.tasks[0].pending) == (True, False, 1)


def test_a_file_that_may_not_be_read_is_one_of_the_violations(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(uri: str, start: int, length: int) -> bytes:
        if uri == str(whole.file(1)):
            raise PermissionError(13, "Permission denied", uri)
        return read_range(uri, start, length)

    monkeypatch.setattr("pipeline.table.footers.read_range", refused)
    (violation,) = verify(whole.output, look=QUICK).violations
    assert violation.file == str(whole.file(1))
    assert violation.message.startswith("permission denied while reading")


def test_pending_units_are_no_violation_unless_success_claims_them(whole: Any) -> None:
    mark_success(whole.output, ["transcribe"])
    whole.file(1).unlink()
    assert messages(whole) == ["_SUCCESS: claims transcribe complete; 1 units are missing"]
    Path(whole.output, "_SUCCESS").unlink()
    verdict = verify(whole.output)
    assert (verdict.holds, verdict.complete, verdict.tasks[0].pending) == (True, False, 1)
    assert "holds so far" in format_verdict("out", verdict)
    assert "1 units pending" in format_verdict("out", verdict)


ERROR = {"stage": "read", "type": "missing", "message": "gone"}
AGAIN = "Delete it; the next run does that unit again."


def worded_error(table: pa.Table) -> pa.Table:
    word = {"word": "a", "start": 1.0, "end": 2.0, "confidence": 1.0}
    failed = replaced("error", [None, ERROR])(replaced("text", ["one", None])(table))
    return replaced("words", [[], [word]])(failed)


def nameless_error(table: pa.Table) -> pa.Table:
    failed = replaced("error", [None, {"stage": "read"}])(replaced("text", ["one", None])(table))
    return replaced("words", [[], None])(failed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.slice(1), "1 rows for 2 planned recordings"),
        (lambda t: t.take([1, 0]), "row 0 has the id 'c/3.wav' where the plan has 'c/2.wav'"),
        (lambda t: t.take([0, 0]), "row 1 has the id 'c/2.wav' where the plan has 'c/3.wav'"),
        (replaced("version", ["1-1", "7-7"]), "the versions of its recordings are not those of the plan"),
        (replaced("text", ["one", None]), "1 rows have neither text nor error"),
        (replaced("error", [None, ERROR]), "1 rows have a text or words and an error"),
        (worded_error, "1 rows have a text or words and an error"),
        (
            lambda t: t.drop_columns(["duration"]),
            "is no unit's file (column duration is missing)",
        ),
        (nameless_error, "1 rows have an error without a stage or a type"),
        (lambda t: t.append_column("mood", pa.array(["a", "b"])), "column mood is not one of this task"),
        (
            replaced("words", [[], [{"word": "a", "start": 5.0, "end": 31.0, "confidence": 1.0}]]),
            "1 words lie outside their recording",
        ),
        (
            replaced(
                "words",
                [[], [{"word": "a", "start": 5.0, "end": 6.0, "confidence": 1.0},
                      {"word": "b", "start": 4.0, "end": 6.0, "confidence": 1.0}]],
            ),
            "word times do not rise",
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_not_its_unit(whole: Any, change: Callable[[pa.Table], pa.Table], message: str) -> None:
    rewrite(whole.file(1), change)
    assert messages(whole) == [f"{whole.file(1).name}: {message}. {AGAIN}"]
    assert format_verdict("out", verify(whole.output)).startswith("out: BROKEN, 1 violation  (")


OF_THE_PLAN = {
    "key": ["2.wav", "9.wav"], "recording": ["c/2.wav", "c/9.wav"],
    "span": [0, 1], "spans": [1, 2], "reference": [None, "words"], "metadata": [None, "{}"],
}  # fmt: skip


@pytest.mark.parametrize("name", OF_THE_PLAN)
def test_a_row_that_says_of_its_recording_what_the_plan_does_not(whole: Any, name: str) -> None:
    rewrite(whole.file(1), replaced(name, OF_THE_PLAN[name]))
    again = "Delete it; the next run does that unit again."
    assert messages(whole) == [f"{whole.file(1).name}: its column {name} is not what the plan has. {again}"]


def test_labels_of_another_model(whole: Any) -> None:
    other = Made(whole.output, task="transcribe-v2", record=replace(whole.record, model_hash="81aa" + "0" * 60))
    other.declare()
    shutil.copy(whole.file(1), other.file(1))
    told = "its labels are of another model (2f9c…, the record says 81aa…). Delete it; the next run does that unit"
    assert messages(whole) == [f"{whole.file(1).name}: {told} again."]


@pytest.mark.parametrize("hash", ["81aa", None])
def test_a_row_of_another_model(whole: Any, hash: str | None) -> None:
    models = [{"name": "digits", "hash": whole.record.model_hash}, {"name": "digits", "hash": hash}]
    rewrite(whole.file(1), replaced("model", models))
    (message,) = messages(whole)
    assert f": its labels are of another model ({hash or 'None'}…, the record says 2f9c…). Delete it" in message


def test_a_footer_of_another_model(whole: Any) -> None:
    table = pq.read_table(whole.file(1))
    told = {**table.schema.metadata, b"voxmill.model_hash": b"81aa"}
    pq.write_table(table.replace_schema_metadata(told), whole.file(1), write_page_checksum=True)
    (message,) = messages(whole)
    assert "its labels are of another model (81aa…, the record says 2f9c…)" in message


def test_where_audio_starts_is_for_decoding_to_say(whole: Any) -> None:
    rewrite(whole.file(1), replaced("start", [0.0, -0.01]))
    assert messages(whole) == []


def test_a_footer_that_tells_something_else(whole: Any) -> None:
    table = pq.read_table(whole.file(1))
    told = {**table.schema.metadata, b"voxmill.rows": b"3"}
    pq.write_table(table.replace_schema_metadata(told), whole.file(1), write_page_checksum=True)
    assert messages(whole) == [f"{whole.file(1).name}: its footer says rows=3, it has 2. {AGAIN}"]


@pytest.mark.parametrize("damage", [lambda d: d[:-9], lambda d: d[:40] + bytes(300) + d[340:]])
def test_a_file_that_cannot_be_read(whole: Any, damage: Callable[[bytes], bytes]) -> None:
    whole.file(2).write_bytes(damage(whole.file(2).read_bytes()))
    (message,) = messages(whole)
    assert message.startswith(f"{whole.file(2).name}: cannot be read as Parquet (")
    assert message.endswith("Delete it; the next run does that unit again.")


def test_a_file_too_small_for_a_unit(whole: Any) -> None:
    whole.file(2).write_bytes(b"PAR1")
    verdict = verify(whole.output)
    assert [each.message for each in verdict.violations] == [
        "is no unit's file (4 bytes). Delete it; the next run does that unit again."
    ]
    assert verdict.violations[0].file == str(whole.file(2))
    assert verdict.tasks[0].pending == 1


def test_units_without_the_record_of_their_task(whole: Any) -> None:
    Path(whole.output, "transcribe/_task.json").unlink()
    (message,) = messages(whole)
    assert message.startswith("_task.json: the record of the task is gone, and the folder holds units of a model")


def test_a_file_that_the_plan_does_not_know(whole: Any) -> None:
    for name in ("0" * 32, "notes"):
        pq.write_table(
            pq.read_table(whole.file(1)), Path(whole.output, "transcribe", f"{name}.parquet"), write_page_checksum=True
        )
    assert [each.partition(": ")[2] for each in messages(whole)] == [
        "no unit of the plan has this name; move the file away"
    ] * 2


def test_left_over_files_are_no_violation(whole: Any) -> None:
    Path(whole.output, "transcribe", f".x.parquet.{'0' * 32}.tmp").write_bytes(b"half")
    assert messages(whole) == []


def test_a_changed_recording_is_planned_twice_and_rightly_so(whole: Any) -> None:
    whole.plan("0.wav", version="2-2")
    whole.commit(3)
    verdict = verify(whole.output)
    assert (verdict.complete, verdict.recordings, verdict.tasks[0].rows) == (True, 7, 7)


def test_a_recording_planned_twice_is_a_violation(whole: Any) -> None:
    plan = Path(whole.output, "_plan")
    (plan / "000002.parquet").write_bytes((plan / "000001.parquet").read_bytes())
    assert messages(whole) == ["_plan: 6 recordings are planned twice", "_plan: two units have one name"]


def test_a_damaged_plan_is_a_violation(whole: Any) -> None:
    plan = Path(whole.output, "_plan/000001.parquet")
    plan.write_bytes(plan.read_bytes()[:-20])
    (message,) = messages(whole)
    assert message.startswith("000001.parquet: the plan file is damaged")
    assert format_verdict("out", verify(whole.output)).startswith("out: BROKEN, 1 violation\n")


def test_a_value_that_no_planner_writes_is_a_violation_of_what_is_pending_too(made: Any) -> None:
    made.plan("0.wav", "1.wav")
    put(made.output, "size", -5)
    (message,) = messages(made)
    assert message.startswith("000001.parquet: the plan file is damaged (size out of range)")


def test_claims_that_cannot_be(whole: Any) -> None:
    claim = Path(whole.output, "_SUCCESS")
    claim.write_text('{"generation": 2, "tasks": ["embed"]}')
    assert messages(whole) == [
        "_SUCCESS: claims generation 2, the plan ends with 1",
        "_SUCCESS: claims the task embed, which is not there",
    ]
    claim.write_text("yes")
    assert messages(whole) == ["_SUCCESS: names no generation and tasks. Delete it; the next run writes it."]


def test_no_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: there is no table here\."):
        verify(str(tmp_path / "nowhere"))


def test_quick_reads_footers_alone(whole: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.table.unit_check.read_unit", lambda uri: pytest.fail("read whole"))
    verdict = verify(whole.output, look=QUICK)
    assert (verdict.complete, verdict.tasks[0].rows, verdict.tasks[0].errors) == (True, 6, 1)
    rewrite(whole.file(1), lambda table: table.slice(1))
    whole.file(2).write_bytes(whole.file(2).read_bytes()[:-9])
    whole.file(0).unlink()
    verdict = verify(whole.output, look=QUICK)
    assert verdict.tasks[0].pending == 1
    assert [each.message.partition(".")[0] for each in verdict.violations] == [
        "its footer says 1 rows, the plan has 2 for it", "its footer says nothing of its rows"
    ]  # fmt: skip


def test_quick_knows_what_may_be_gone_and_what_must(whole: Any) -> None:
    whole.plan("0.wav", version="2-2", seconds=30.0)
    whole.commit(3)
    assert verify(whole.output, look=QUICK).holds
    vacuum(whole.output, min_age=0.0, dry_run=False)
    assert verify(whole.output, look=QUICK).complete
    remember(whole.output, ["c/2.wav"])
    (violation,) = verify(whole.output, look=QUICK).violations
    assert violation.message == "its footer says 2 rows, the plan has 1 for it"


def test_quick_on_the_command_line_says_what_it_read(whole: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", whole.output, "--quick"]) == 0
    assert capsys.readouterr().out.endswith("\nonly footers were read\n")


def beside(made: Any) -> None:
    """A run that is planned, committed and claimed, then what takes rows out of files."""
    made.plan("new.wav", seconds=30.0)
    made.plan("0.wav", version="2-2", seconds=30.0)
    made.commit()
    assert mark_success(made.output, ["transcribe"])
    vacuum(made.output, min_age=0.0, dry_run=False)
    assert main(["forget", made.output, "c/3.wav", "--yes"]) == 0


@pytest.mark.parametrize("look", [WHOLE, pytest.param(QUICK, marks=pytest.mark.slow)])
def test_what_others_do_at_any_moment_of_it_breaks_nothing(
    look: Look, made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.plan(*(f"{number}.wav" for number in range(6)), seconds=30.0)
    made.commit()
    steps = moments(made, look, None, monkeypatch)
    for step in range(steps):
        shutil.copytree(made.output, tmp_path / str(step))
        other = Made(str(tmp_path / str(step)))
        moments(other, look, step, monkeypatch)
        assert (verify(other.output).complete, verify(other.output).recordings) == (True, 8)
    assert steps > 15


def moments(made: Made, look: Look, step: int | None, monkeypatch: pytest.MonkeyPatch) -> int:
    """Verify a table beside which something happens before one of its requests; how many requests that takes."""
    count = itertools.count()

    def asking(*call: Any) -> Any:
        if next(count) == step:
            beside(made)
        return attempt(*call)

    with monkeypatch.context() as patch:
        for room in ("listing", "fetch"):
            patch.setattr(f"pipeline.storage.{room}.attempt", asking)
        assert verify(made.output, look=look).violations == ()
    return next(count)


@pytest.mark.parametrize("look", [WHOLE, QUICK])
def test_a_newer_row_that_is_lost_is_pending_and_no_fault_of_the_older_file(look: Look, whole: Any) -> None:
    whole.plan("0.wav", version="2-2", seconds=30.0)
    whole.commit(3)
    vacuum(whole.output, min_age=0.0, dry_run=False)
    whole.file(3).unlink()
    verdict = verify(whole.output, look=look)
    (task,) = verdict.tasks
    assert (verdict.holds, verdict.complete, task.pending, task.recordings, task.rows) == (True, False, 1, 5, 5)
    whole.commit(3)
    assert verify(whole.output, look=look).complete


@pytest.mark.parametrize("look", [WHOLE, QUICK])
def test_only_a_file_that_was_rewritten_may_lack_what_is_planned_anew(look: Look, whole: Any) -> None:
    whole.plan("0.wav", version="2-2", seconds=30.0)
    rewrite(whole.file(0), lambda table: table.slice(1))
    (violation,) = verify(whole.output, look=look).violations
    assert violation.message.startswith(("1 rows for 2 planned recordings", "its footer says 1 rows, the plan has 2"))


def test_a_newer_row_of_another_task_excuses_nothing(whole: Any) -> None:
    assert main(["errors", whole.output, "--again"]) == 0
    rewrite(whole.file(0), lambda table: table.slice(1), rewritten="2026-11-30")
    other = Made(whole.output, task="transcribe-v2", record=whole.record)
    other.commit(1, 2)
    shutil.copy(whole.file(0), other.file(0))
    assert [Path(each.file).parent.name for each in verify(whole.output).violations] == ["transcribe-v2"]
