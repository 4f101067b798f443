"""What is forgotten is gone from every file, stays away, and is never shown, whatever happens meanwhile."""

from __future__ import annotations

import importlib
import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus import Recording
from pipeline.errors import StorageFault, UserError
from pipeline.plan import forgotten, generations, load_unit, units, unseen
from pipeline.plan.forgotten import Forgotten
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from, planned_unit
from pipeline.storage.listing import list_names
from pipeline.storage.put import put, put_if_absent
from pipeline.storage.read import read_bytes
from pipeline.table import committed, read_table, totals, write_run
from pipeline.table import forget as forgetting
from pipeline.table.__main__ import main
from pipeline.table.done import committed_sizes
from pipeline.table.explain import explain
from pipeline.table.forget import Taken, forget, look
from pipeline.table.publish import read_published
from pipeline.table.status import status
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import verify
from tests.table.conftest import mark_success, rows_of

remembering = importlib.import_module("pipeline.plan.forgotten")


def listed(*ids: str, version: str = "1-1", **fields: Any) -> list[tuple[Recording, ...]]:
    values = {"reference": "secret words", "metadata": '{"speaker": "secret name"}', "recording": ids[0]} | fields
    return [
        (
            Recording(
                id, f"file:///{id}", id, version, format="wav", seconds=30.0, seconds_from="header", size=9,
                **(values | {"recording": fields.get("recording", id)}),
            ),
        )
        for id in ids
    ]  # fmt: skip


def plan(made: Any, entries: list[tuple[Recording, ...]]) -> Any:
    return extend_from(lambda known: entries, made.output, scope=Scope("c", ("file:///c",)), bounds=Bounds(60.0))


@pytest.fixture(params=["local", "s3"])
def table(made: Any, request: pytest.FixtureRequest) -> Any:
    """Table of units (a, b), (c, d), with text that came along; all but nothing is committed."""
    if request.param == "s3":
        made.output = f"{request.getfixturevalue('s3_server').uri}/out"
    return fill(made)


def fill(made: Any) -> Any:
    plan(made, listed("c/a", "c/b", "c/c", "c/d"))
    made.commit(text="secret speech", broken=["c/c"])
    return made


def everything(output: str) -> bytes:
    """Contents of all files below an output, Parquet decoded."""

    def below(folder: str) -> Any:
        for name in list_names(folder):
            if name.endswith("/"):
                yield from below(f"{folder}/{name.rstrip('/')}")
            else:
                data = read_bytes(f"{folder}/{name}")
                yield data
                if name.endswith(".parquet"):
                    yield json.dumps(pq.read_table(pa.BufferReader(data)).to_pylist(), default=str).encode()

    return b"\n".join(below(output))


def ids(made: Any) -> list[str]:
    found: list[str] = read_table(made.output).to_table(columns=["id"]).column("id").to_pylist()
    return found


def gone(made: Any, *names: str) -> Taken:
    return forget(made.output, names, look(made.output, names))


def test_rows_texts_and_vectors_are_gone_from_every_file_of_every_task(table: Any) -> None:
    table.task = "other"
    table.commit(text="secret speech")
    assert everything(table.output).count(b"secret words") > 6
    found = look(table.output, ["c/a", "c/b", "c/c"])
    assert (found.by_task, found.texts) == ({"other": (3, 2), "transcribe": (3, 2)}, 3)
    assert forgotten(table.output).digests == frozenset()  # nothing has been changed
    assert gone(table, "c/a", "c/b", "c/c", "c/d") == Taken((), ())
    for word in (b"secret words", b"secret name", b"secret speech"):
        assert word not in everything(table.output)
    assert ids(table) == []
    verdict = verify(table.output)
    assert (verdict.complete, [each.rows for each in verdict.tasks]) == (True, [0, 0])


def test_the_others_stay_and_the_table_is_as_complete_as_before(table: Any) -> None:
    mark_success(table.output, ["transcribe"])
    gone(table, "c/b")
    assert ids(table) == ["c/a", "c/c", "c/d"]
    verdict = verify(table.output)
    assert (verdict.complete, verdict.units, verdict.tasks[0].rows, verdict.tasks[0].errors) == (True, 2, 3, 1)
    found = status(table.output)
    assert (found.complete, found.claimed, found.recordings, found.forgotten) == (True, True, 3, 1)
    sizes, hidden = (
        committed_sizes(table.output, "transcribe"),
        unseen(table.output, committed(table.output, "transcribe")),
    )
    assert totals(table.output, "transcribe", sizes, hidden, {}).rows == 3
    kept = planned_unit(table.output, units(table.output)[0]).recordings
    assert [(each.id, each.reference, each.metadata is None) for each in kept] == [
        ("c/a", "secret words", False), ("c/b", None, True)
    ]  # fmt: skip


def test_it_is_not_planned_again_and_its_new_content_neither(made: Any) -> None:
    fill(made)
    gone(made, "c/b")
    report = plan(made, listed("c/a", "c/b", "c/c", "c/d"))
    assert (report.planned, report.vanished) == (0, 0)
    report = plan(made, listed("c/a", "c/b", "c/c", "c/d", version="2-2"))
    assert (report.planned, report.generations) == (3, (2,))
    made.commit()
    assert sorted(ids(made)) == ["c/a", "c/c", "c/d"]
    assert b"secret" not in b"".join(
        json.dumps(row).encode()
        for unit in made.units
        for row in pq.read_table(Path(made.output, "_plan/000002.parquet")).to_pylist()
        if row["id"] == "c/b"
    )
    assert verify(made.output).complete


def test_a_pending_unit_does_without_it(made: Any) -> None:
    plan(made, listed("c/a", "c/b", "c/c"))
    gone(made, "c/b", "c/c")
    assert [[each.id for each in load_unit(made.output, ref).recordings] for ref in units(made.output)] == [["c/a"], []]
    made.commit()
    assert ids(made) == ["c/a"]
    assert len(committed(made.output, "transcribe")) == 2
    assert verify(made.output).complete


def test_an_attempt_that_was_at_work_cannot_bring_it_back(made: Any) -> None:
    plan(made, listed("c/a", "c/b"))
    made.declare()
    unit = made.unit(0)  # read before it is forgotten
    gone(made, "c/a")
    made.put(unit, rows_of(unit))
    assert ids(made) == ["c/b"]
    assert pq.read_table(made.file(0)).column("id").to_pylist() == ["c/b"]
    assert verify(made.output).complete


def test_an_attempt_that_died_before_it_looked_is_not_shown_is_found_and_mended(
    made: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan(made, listed("c/a", "c/b"))
    made.declare()
    unit = made.unit(0)
    gone(made, "c/a")
    monkeypatch.setattr("pipeline.table.commit.forgotten", lambda output: Forgotten())
    made.put(unit, rows_of(unit))
    monkeypatch.undo()
    assert ids(made) == ["c/b"]
    (violation,) = verify(made.output).violations
    assert violation.message == "1 row of forgotten recordings; `forget OUTPUT --yes` takes what is left of them out"
    assert main(["forget", made.output, "--yes"]) == 0
    assert "transcribe: 1 row in 1 file" in capsys.readouterr().out
    assert verify(made.output).complete


def test_vacuum_mends_it_too(made: Any) -> None:
    fill(made)
    forgetting.remember(made.output, ["c/a"])  # and there it ended
    assert ids(made) == ["c/b", "c/c", "c/d"]
    assert len(verify(made.output).violations) == 2
    assert [each.rows for each in vacuum(made.output, dry_run=False).rows] == [1]
    (violation,) = verify(made.output).violations
    assert "1 row of forgotten recordings with text or metadata" in violation.message


def test_a_planner_that_was_at_work_leaves_no_text(made: Any) -> None:
    fill(made)

    def entries(known: Any) -> Any:
        gone(made, "c/b")
        return listed("c/a", "c/b", version="2-2")

    extend_from(entries, made.output, scope=Scope("c", ("file:///c",)), bounds=Bounds(60.0))
    assert len(units(made.output)) == 3
    made.commit()
    assert verify(made.output).complete
    assert "c/b" not in ids(made)


def in_spans() -> list[tuple[Recording, ...]]:
    return [
        (Recording(f"c/day@{n}-{n + 1}", "file:///c/day", "day", "1", "c/day", "wav", 30.0, "header", 9,
                   start=float(n), end=n + 1.0, span=n, spans=3),)
        for n in range(3)
    ]  # fmt: skip


def test_a_recording_covers_its_spans_and_its_lines(made: Any) -> None:
    plan(made, [*in_spans(), *listed("line-1", "line-2", recording="c/call"), *listed("c/other")])
    made.commit()
    gone(made, "c/day@1-2")
    assert ids(made) == ["c/day@0-1", "c/day@2-3", "line-1", "line-2", "c/other"]
    gone(made, "c/day", "c/call")
    assert ids(made) == ["c/other"]
    assert verify(made.output).complete


def test_what_is_remembered_tells_no_id(made: Any) -> None:
    fill(made)
    gone(made, "c/a")
    gone(made, "c/a")
    (file,) = Path(made.output, "_forgotten").iterdir()
    assert b"c/a" not in file.read_bytes()
    file.write_text("nonsense")
    with pytest.raises(UserError, match="does not say what is forgotten"):
        forgotten(made.output)


def test_scores_and_manifests_tell_nothing_of_it(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(table.output, "r", {"started": "2026-11-20", "examples": {"decode.decode": "c/c: not audio",
                                  "read.read": "c/cc: x"}, "faults": {"u": "/c/c is closed"}})  # fmt: skip
    if not table.output.startswith("s3://"):
        Path(table.output, "_scores").mkdir()
    for name, text in (("scores.json", '{"worst": [{"id": "c/c"}]}'), ("words.png", "picture")):
        put(f"{table.output}/_scores/transcribe/{name}", text.encode())
    put(f"{table.output}/_scores/other/scores.json", b'{"worst": [{"id": "c/cc"}]}')
    assert main(["forget", table.output, "c/c"]) == 4
    out = capsys.readouterr().out
    assert f"{table.output}/_runs/r.json: what it tells of them" in out
    assert f"{table.output}/_scores/transcribe: the scores" in out
    assert "nothing has been changed" in out
    assert main(["forget", table.output, "--yes", "c/c"]) == 0
    assert list_names(f"{table.output}/_scores/transcribe") == []
    assert list_names(f"{table.output}/_scores/other") == ["scores.json"]
    assert json.loads(read_bytes(f"{table.output}/_runs/r.json")) == {
        "started": "2026-11-20", "examples": {"decode.decode": "(forgotten)", "read.read": "c/cc: x"},
        "faults": {"u": "/c/c is closed"},
    }  # fmt: skip


@pytest.mark.parametrize("id", ["c/day", "c/day@1-2"])
def test_scores_of_a_recording_in_spans_name_the_whole_of_it_and_go_too(made: Any, id: str) -> None:
    plan(made, [*in_spans(), *listed("c/other")])
    made.commit()
    Path(made.output, "_scores").mkdir()
    put(f"{made.output}/_scores/transcribe/scores.json", b'{"worst": [{"id": "c/day", "reference": "one two"}]}')
    put(f"{made.output}/_scores/other/scores.json", b'{"worst": [{"id": "c/other"}]}')
    forgetting.remember(made.output, [id])
    assert any("_scores" in str(each) for each in verify(made.output).violations)
    gone(made, id)
    assert list_names(f"{made.output}/_scores/transcribe") == []
    assert list_names(f"{made.output}/_scores/other") == ["scores.json"]
    assert verify(made.output).complete


def test_ids_from_a_file_and_a_second_time(table: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ids").write_text("c/a\r\nc/d\n\n")
    assert main(["forget", table.output, "c/b", "--ids", str(tmp_path / "ids"), "--yes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 planned rows of forgotten recordings, 3 with text or metadata",
        "transcribe: 3 rows in 2 files",
        "all of that is gone; verify proves it",
    ]
    assert ids(table) == ["c/c"]
    assert main(["forget", table.output, "c/a", "--yes"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "3 planned rows of forgotten recordings, 0 with text or metadata"
    assert main(["forget", table.output, "--ids", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none'}: there is no such file\n"


def test_unknown_ids_change_nothing(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    table.plan("monday.flac")
    assert main(["forget", table.output, "c/a", "c/MONDAY.wav", "zzz", "--yes"]) == 2
    assert capsys.readouterr().err == (
        f"{table.output}: nothing was forgotten, for no such recording is planned: 'c/MONDAY.wav' "
        "(like it: c/monday.flac), 'zzz'. The column `id` of the table has all ids.\n"
    )
    assert len(ids(table)) == 4
    assert main(["forget", table.output]) == 2
    assert "nothing is forgotten there" in capsys.readouterr().err


def test_explain_says_so(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fill(made)
    gone(made, "c/a")
    assert main(["explain", made.output, "c/a"]) == 0
    out = capsys.readouterr().out
    assert "forgotten  no task may hear it" in out
    assert "secret" not in out
    assert explain(made.output, "c/a")[0].labels == ()


@pytest.mark.parametrize("turns", range(1, 5))
def test_killed_before_any_write_the_same_command_completes(
    turns: int, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writes are the digests, the plan and two units; the first that is not done stands for a kill."""
    fill(made)
    count = itertools.count()

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            if next(count) >= turns - 1:
                raise StorageFault("killed")
            return write(*given)

        return call

    monkeypatch.setattr(remembering, "put_if_absent", dying(put_if_absent))
    for module in ("pipeline.plan.emptying.put", "pipeline.table.rewrite.put"):
        monkeypatch.setattr(module, dying(put))
    with pytest.raises(StorageFault, match="killed"):
        gone(made, "c/a", "c/c")
    monkeypatch.undo()
    assert ids(made) == (["c/b", "c/d"] if turns > 1 else ["c/a", "c/b", "c/c", "c/d"])
    assert verify(made.output).holds == (turns == 1)
    gone(made, "c/a", "c/c")
    assert ids(made) == ["c/b", "c/d"]
    assert verify(made.output).complete


def test_two_at_once_beside_vacuum_commits_and_readers(table: Any) -> None:
    plan(table, listed("c/a", "c/e", "c/f", "c/g", version="2-2"))
    late = [table.unit(number) for number in range(2, 4)]
    failed: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> Callable[[], None]:
        def call() -> None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001
                failed.append(error)

        return call

    def commits() -> None:
        for unit in late:
            table.put(unit, rows_of(unit))

    def reads() -> None:
        left = 5
        while left:
            try:
                found = ids(table)
            except StorageFault as fault:
                if "was rewritten while the table was open" in str(fault):
                    continue
                raise
            assert len(found) == len(set(found))
            left -= 1

    works = [
        lambda: gone(table, "c/a", "c/e"), lambda: gone(table, "c/b", "c/e", "c/g"), commits, reads,
        lambda: vacuum(table.output, min_age=0.0, dry_run=False),
    ]  # fmt: skip
    threads = [threading.Thread(target=guarded(work)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(ids(table)) == ["c/c", "c/d", "c/f"]
    assert verify(table.output).complete
    assert verify(table.output).tasks[0].rows == 3


def test_a_stale_rewriting_that_comes_last_looks_again(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Vacuum has read a file, `forget` takes a row out of it, and vacuum puts what it has read."""
    made.plan("a", "b", seconds=30.0)
    made.commit()
    made.plan("a", version="2-2")
    made.commit(1)
    turns = itertools.count()

    def late(uri: str, data: bytes) -> None:
        if not next(turns):
            gone(made, "c/b")
        put(uri, data)

    monkeypatch.setattr("pipeline.table.rewrite.put", late)
    vacuum(made.output, min_age=0.0, dry_run=False)
    assert next(turns) == 3  # vacuum's, forget's, and vacuum's again
    assert ids(made) == ["c/a"]
    assert verify(made.output).complete


def test_whoever_reads_the_plan_meanwhile_finds_all_rows_where_they_were(made: Any) -> None:
    fill(made)
    before = generations.open_generation(made.output, 1)
    gone(made, "c/a", "c/b")
    after = generations.open_generation(made.output, 1)
    assert before != after
    assert before.row_group(0, ("id",)) == after.row_group(0, ("id",))
    assert before.row_group(0).column("reference").to_pylist() == [None, None, "secret words", "secret words"]
    columns = ("unit", "seconds", "payload")
    assert (before.scope, before.row_group(0, columns)) == (after.scope, after.row_group(0, columns))


@pytest.mark.parametrize(
    ("opening", "looking"), [(True, "stat"), (False, "stat"), (False, "_opened")],
    ids=["as it is opened", "as it is opened again", "as its rows are read"],
)  # fmt: skip
def test_a_plan_put_anew_again_and_again_under_a_reader_is_read(
    opening: bool, looking: str, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(made)
    file = Path(made.output, "_plan/000001.parquet")
    opened, whole = generations.open_generation(made.output, 1), pq.read_table(file)
    expected, paddings = opened.row_group(0), iter((300, 200, 100))

    def put_anew(padding: int) -> None:
        told = {**whole.schema.metadata, b"padding": b"-" * padding}
        pq.write_table(whole.replace_schema_metadata(told), file, compression="none", write_page_checksum=True)

    look = getattr(generations, looking)

    def look_then_put_anew(*given: Any) -> Any:
        found = look(*given)
        if (padding := next(paddings, None)) is not None:
            put_anew(padding)
        return found

    put_anew(400)
    monkeypatch.setattr(generations, looking, look_then_put_anew)
    found = generations.open_generation(made.output, 1) if opening else opened
    assert found.row_group(0) == expected
    assert next(paddings, None) is None


def test_what_is_published_is_withdrawn_and_stays_so(table: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", table.output]) == 0
    assert "c/b" in read_published(table.output).to_table().column("id").to_pylist()
    capsys.readouterr()
    assert main(["forget", table.output, "c/b", "--yes"]) == 0
    assert f"{table.output}/_published/transcribe/" in capsys.readouterr().out
    for _ in range(2):
        assert sorted(read_published(table.output).to_table().column("id").to_pylist()) == ["c/a", "c/c", "c/d"]
        assert main(["publish", table.output]) == 0
    assert verify(table.output).complete


def test_no_empty_folder_of_a_partition_stays(made: Any) -> None:
    fill(made)
    assert main(["publish", made.output, "--partition-by", "key"]) == 0
    folder = Path(made.output, "_published/transcribe")
    before = {path.name for path in folder.glob("key=*")}
    assert main(["forget", made.output, "c/b", "--yes"]) == 0
    assert before - {path.name for path in folder.glob("key=*")} == {"key=c%2Fb"}


def test_a_row_that_an_attempt_left_is_not_published(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan(made, listed("c/a", "c/b"))
    made.declare()
    unit = made.unit(0)
    gone(made, "c/a")
    monkeypatch.setattr("pipeline.table.commit.forgotten", lambda output: Forgotten())
    made.put(unit, rows_of(unit))
    assert main(["publish", made.output]) == 0
    assert read_published(made.output).to_table().column("id").to_pylist() == ["c/b"]
