"""Superseded rows go, and only they; whatever happens meanwhile, the table stays what it was for its readers."""

from __future__ import annotations

import itertools
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.errors import StorageFault
from pipeline.plan import superseded, units
from pipeline.storage.listing import stat
from pipeline.storage.put import put
from pipeline.storage.read import read_bytes
from pipeline.table import committed, pending, read_table, rewrite, totals
from pipeline.table.done import committed_sizes
from pipeline.table.explain import explain
from pipeline.table.status import status
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import verify
from tests.table.conftest import mark_success


@pytest.fixture(params=["local", "s3"])
def changed(made: Any, request: pytest.FixtureRequest) -> Any:
    """Table of units (a, b), (c, d) and, of new content, (b), (c, d): all are committed."""
    if request.param == "s3":
        made.output = f"{request.getfixturevalue('s3_server').uri}/out"
    return change(made)


def change(made: Any) -> Any:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit(text="old")
    made.plan("b", "c", "d", version="2-2", seconds=30.0)
    made.commit(text="new")
    return made


def seen(made: Any) -> dict[str, str]:
    rows = read_table(made.output).to_table(columns=["id", "text"]).to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row["text"] for row in rows}


REWRITTEN = r"was rewritten while the table was open.*Open it again"
NEWEST = {"c/a": "old", "c/b": "new", "c/c": "new", "c/d": "new"}


def test_it_lists_then_removes_superseded_rows(changed: Any) -> None:
    assert seen(changed) == NEWEST
    found = vacuum(changed.output, min_age=0.0)
    assert [each.rows for each in found.rows] == [1, 2]
    assert vacuum(changed.output, min_age=0.0) == found  # nothing was changed
    assert verify(changed.output).tasks[0].rows == 7
    assert vacuum(changed.output, min_age=0.0, dry_run=False) == found
    assert seen(changed) == NEWEST
    assert vacuum(changed.output, min_age=0.0).rows == ()
    verdict = verify(changed.output)
    assert (verdict.complete, verdict.tasks[0].rows, verdict.violations) == (True, 4, ())


def test_every_reader_agrees_afterwards(made: Any) -> None:
    change(made)
    before = status(made.output)
    vacuum(made.output, min_age=0.0, dry_run=False)
    assert status(made.output) == before
    planned = units(made.output)
    assert pending(made.output, "transcribe", planned) == []
    found = totals(made.output, "transcribe", committed_sizes(made.output, "transcribe"), set(), {})
    assert (found.rows, found.damaged) == (4, ())
    assert mark_success(made.output, ["transcribe"])
    old, new = explain(made.output, "c/b")
    assert (old.labels[0].row, old.labels[0].committed, new.labels[0].row["text"]) == (None, True, "new")
    footer = pq.read_metadata(made.file(1)).metadata
    assert (footer[b"voxmill.rows"], footer[b"voxmill.device"]) == (b"0", b"cpu")
    assert footer[b"voxmill.rewritten"] > b"20"


def test_a_row_stays_until_the_newer_one_is_committed_long_enough(made: Any) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    made.plan("b", version="2-2")
    assert vacuum(made.output, min_age=0.0).rows == ()
    made.commit(1)
    assert vacuum(made.output, min_age=3600.0).rows == ()
    os.utime(made.file(1), (time.time() - 4000, time.time() - 4000))
    assert [each.rows for each in vacuum(made.output, min_age=3600.0).rows] == [1]


def test_what_changed_twice_loses_both(made: Any) -> None:
    for version in ("1-1", "2-2", "3-3"):
        made.plan("a", version=version)
        made.commit()
    assert sum(each.rows for each in vacuum(made.output, min_age=0.0, dry_run=False).rows) == 2
    assert verify(made.output).complete


def test_a_row_that_is_missing_for_another_reason_is_a_violation(made: Any) -> None:
    change(made)
    rewrite.rewrite(made.output, str(made.file(0)), {"c/a"})
    (violation,) = verify(made.output).violations
    assert violation.message.startswith("lacks 1 row taken out of it, of which nothing tells any more. Restore")


def test_a_vacuumed_row_whose_newer_unit_went_away_is_pending_not_lost(made: Any) -> None:
    change(made)
    vacuum(made.output, min_age=0.0, dry_run=False)
    made.file(2).unlink()
    assert len(committed(made.output, "transcribe")) == len(units(made.output)) - 1
    made.commit(text="again")
    assert seen(made)["c/b"] == "again"
    assert verify(made.output).complete


def test_killed_between_two_files_the_same_command_completes(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    change(made)
    put, turns = rewrite.put, itertools.count()

    def dying(uri: str, data: bytes) -> None:
        if next(turns):
            raise StorageFault("killed")
        put(uri, data)

    monkeypatch.setattr(rewrite, "put", dying)
    with pytest.raises(StorageFault, match="killed"):
        vacuum(made.output, min_age=0.0, dry_run=False)
    monkeypatch.undo()
    assert verify(made.output).complete
    assert seen(made) == NEWEST
    assert len(vacuum(made.output, min_age=0.0, dry_run=False).rows) == 1
    assert verify(made.output).tasks[0].rows == 4


def test_two_at_once_and_a_reader_beside_them(changed: Any) -> None:
    failed: list[BaseException] = []
    stop = threading.Event()

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    def read() -> None:
        while not stop.is_set():
            try:
                assert seen(changed) == NEWEST
            except StorageFault as fault:
                if not re.search(REWRITTEN, str(fault)):
                    raise

    reader = threading.Thread(target=guarded, args=(read,))
    sweepers = [
        threading.Thread(target=guarded, args=(lambda: vacuum(changed.output, min_age=0.0, dry_run=False),))
        for _ in range(3)
    ]
    for thread in (reader, *sweepers):
        thread.start()
    for thread in sweepers:
        thread.join()
    stop.set()
    reader.join()
    assert failed == []
    assert verify(changed.output).tasks[0].rows == 4


def test_a_file_that_was_rewritten_since_it_was_listed_is_not_damaged(made: Any) -> None:
    change(made)
    sizes = {file.stem: file.stat().st_size for file in Path(made.output, "transcribe").glob("*.parquet")}
    vacuum(made.output, min_age=0.0, dry_run=False)
    found = totals(made.output, "transcribe", sizes, set(), {})
    assert (found.rows, found.damaged) == (4, ())


def test_nothing_superseded_costs_no_look_at_any_file(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a")
    made.commit()
    assert superseded(made.output) == []
    monkeypatch.setattr("pipeline.table.vacuum.burdens", lambda *_: pytest.fail("looked"))
    assert vacuum(made.output, min_age=0.0).rows == ()


def test_who_has_the_table_open_is_told_to_open_it_again(changed: Any) -> None:
    table = read_table(changed.output)
    table.to_table()
    vacuum(changed.output, min_age=0.0, dry_run=False)
    with pytest.raises(StorageFault, match=REWRITTEN):
        table.to_table()


@pytest.mark.parametrize("padding", [300_000, 0], ids=["larger", "smaller"])
def test_so_is_who_reads_of_a_store_what_is_rewritten_after_a_look_at_its_size(
    padding: int, made: Any, s3_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.output = f"{s3_server.uri}/out"
    made.plan("a")
    made.commit(text="long " * 10_000)
    file = f"{made.output}/transcribe/{made.units[0].name}.parquet"
    whole = pq.read_table(pa.BufferReader(read_bytes(file)))

    def put_anew(padding: int) -> None:
        sink, told = pa.BufferOutputStream(), {**whole.schema.metadata, b"padding": b"-" * padding}
        pq.write_table(whole.replace_schema_metadata(told), sink, write_page_checksum=True)
        put(file, sink.getvalue().to_pybytes())

    def stat_then_put_anew(uri: str) -> Any:
        entry = stat(uri)
        put_anew(padding)
        return entry

    put_anew(100_000)
    table = read_table(made.output)
    monkeypatch.setattr("pipeline.storage.arrow.stat", stat_then_put_anew)
    with pytest.raises(StorageFault, match=REWRITTEN):
        table.to_table()


def test_what_a_filter_does_wrong_is_not_taken_for_it(made: Any) -> None:
    made.plan("a")
    made.commit()
    with pytest.raises(pa.ArrowInvalid, match="Failed to parse"):
        read_table(made.output).to_table(filter=pc.field("text").cast(pa.int64()) > 1)
