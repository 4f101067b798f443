"""What is published is the newest row of each recording, whatever happened between two publishes."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import UserError
from pipeline.table import read_table
from pipeline.table.publish import manifest, publish, read_published, succession, withdraw
from pipeline.table.publish.difference import data_files
from pipeline.table.verify import verify
from tests.table.conftest import Made, rows_of
from tests.table.publish.sets import TASK, folder, holds, shown


def test_nothing_published_is_an_error_with_the_remedy(made: Made) -> None:
    made.plan("a")
    made.commit()
    with pytest.raises(UserError, match=r"nothing of transcribe is published\. Run python -m pipeline\.table publish"):
        read_published(made.output)


def test_an_empty_table_can_be_published(made: Made) -> None:
    made.plan("a")
    made.declare()
    assert holds(made).manifest.files == ()
    assert read_published(made.output).schema == read_table(made.output).schema


def test_all_rows_in_one_file_then_only_what_is_new(made: Made) -> None:
    made.plan("a", "b", "c", seconds=30.0)
    made.commit(broken=["c/b"])
    first = holds(made)
    assert (len(first.manifest.files), first.new_units, first.manifest.files[0].errors) == (1, 2, 1)
    assert holds(made).new_files == 0
    assert manifest.numbers(made.output, TASK) == [1]
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    second = holds(made)
    assert (second.new_units, second.new_files, second.replaced_files) == (1, 1, 0)
    assert second.manifest.files[0] == first.manifest.files[0]


def test_pending_units_come_with_a_later_publish(made: Made) -> None:
    made.plan("a", "b")
    made.commit(1)
    assert set(shown(made.output) if holds(made) else ()) == {"c/b"}
    made.commit(0)
    assert holds(made).new_units == 1


def test_files_that_hold_rows_of_old_content_are_rewritten(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    publish(made.output, TASK, file_bytes=1)
    made.plan("a", "b", "c", "d", version="1-1", seconds=30.0)
    made.plan("b", version="2-2")
    assert holds(made, file_bytes=1).replaced_files == 0, "the newer row is pending, so the old one stays"
    made.commit(text="new")
    done = holds(made, file_bytes=1)
    assert (done.replaced_files, shown(made.output)["c/b"][:2]) == (1, ("2-2", "new"))
    assert len(data_files(made.output, TASK)) == 4, "replaced files stay until they are vacuumed"


def test_a_unit_file_that_was_rewritten_is_published_as_it_is_now(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    holds(made)
    whole = pq.read_table(made.file(0))
    pq.write_table(whole.slice(1, 1), made.file(0), write_page_checksum=True)
    assert publish(made.output, TASK).replaced_files == 1
    assert set(shown(made.output)) == {"c/b", "c/c", "c/d"}
    *_, violation = verify(made.output).violations
    told = f"1 row of the unit {made.units[0].name}, for which the plan has 2. Delete it and publish again"
    assert (Path(violation.file).parent, violation.message) == (folder(made), told)


@pytest.mark.parametrize("twice", [False, True])
def test_a_file_of_another_unit_s_rows_is_told_and_never_published(made: Made, twice: bool) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit(0)
    holds(made)
    made.commit(1)
    wrong = pq.read_table(made.file(1)).take([0, 0]) if twice else pq.read_table(made.file(0))
    pq.write_table(wrong, made.file(1), write_page_checksum=True)
    before = data_files(made.output, TASK)
    told = "1 row more than recordings" if twice else f"rows name another unit, '{made.units[0].name}'"
    for _ in range(2):
        with pytest.raises(UserError, match=f"{told}. Delete it; the next run does that unit again."):
            publish(made.output, TASK)
    assert data_files(made.output, TASK) == before
    made.file(1).unlink()
    made.commit(1)
    assert holds(made).manifest.rows == 4


def test_rows_of_units_that_a_published_file_is_not_of_are_carried_nowhere(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    first, second = publish(made.output, TASK, file_bytes=1).manifest.files
    assert first.size == second.size
    shutil.copyfile(folder(made) / second.path, folder(made) / first.path)
    before = data_files(made.output, TASK)
    with pytest.raises(UserError, match=f"{first.path}: holds rows of the unit '{made.units[1].name}', and the"):
        withdraw(made.output, ["c/c"])
    made.file(0).unlink()
    with pytest.raises(UserError, match="Delete it; the next publish makes it again"):
        publish(made.output, TASK, partition_by="span")
    assert data_files(made.output, TASK) == before


def test_small_files_become_one_when_they_pile_up(made: Made) -> None:
    names: list[str] = []
    for number in range(14):
        names.append(f"{number:02d}")
        made.plan(*names)
        made.commit()
        done = holds(made)
        assert len(done.manifest.files) <= 12
    assert len(done.manifest.files) < 6
    assert done.manifest.rows == 14


def test_files_and_row_groups_are_as_large_as_asked(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan(*(f"{number:03d}" for number in range(60)))
    made.commit()
    done = holds(made, file_bytes=1500)
    assert 3 < len(done.manifest.files) < 60
    assert all(1500 <= each.size < 20_000 for each in done.manifest.files[:-1])
    monkeypatch.setattr("pipeline.table.publish.splitter.BUFFERED", 1)
    assert holds(made, partition_by="id").manifest.rows == 60


def test_an_older_file_lacks_a_column_that_a_newer_one_has(made: Made, task_schema: pa.Schema) -> None:
    made.plan("a")
    made.commit()
    holds(made)
    made.record = dataclasses.replace(made.record, schema=task_schema.append(pa.field("language", pa.string())))
    made.plan("a", "b")
    made.declare()
    unit = made.unit(1)
    made.put(unit, rows_of(unit).append_column("language", pa.array(["en"])))
    holds(made)
    assert read_published(made.output).to_table()["language"].to_pylist() == [None, "en"]


def test_the_door_is_public(made: Made) -> None:
    made.plan("a")
    made.commit()
    publish(made.output, TASK)
    assert pipeline.read_published(Path(made.output)).count_rows() == 1
    assert succession.FILE_BYTES == 512_000_000
