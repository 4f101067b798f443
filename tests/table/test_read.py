"""A reader sees committed rows, one for each recording, of its newest content."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import StorageFault, UserError
from pipeline.table import read_table
from pipeline.table.verify import verify
from tests.hurry import hurry


def shown(made: Any) -> dict[str, str]:
    frame = read_table(made.output).to_pandas()
    assert frame["id"].is_unique
    return dict(zip(frame["id"], frame["version"], strict=True))


def test_no_output_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere: there is no table here\. Name the output folder"):
        read_table(str(tmp_path / "nowhere"))


def test_a_plan_without_a_task_is_an_error(made: Any) -> None:
    made.plan("a.wav")
    with pytest.raises(UserError, match="there is no task transcribe in this output"):
        read_table(made.output)


def test_an_empty_table_has_the_schema(made: Any, task_schema: pa.Schema) -> None:
    made.plan("a.wav")
    made.declare()
    table = read_table(made.output)
    assert table.schema == task_schema
    assert list(table.to_pandas().columns) == task_schema.names
    assert (len(table.to_pandas()), table.count_rows()) == (0, 0)


def test_rows_come_in_plan_order(made: Any) -> None:
    names = [f"{number:02d}.wav" for number in range(20)]
    made.plan(*names, seconds=30.0)
    made.commit(*reversed(range(10)))
    table = read_table(made.output)
    assert table.to_table(columns=["id"]).column("id").to_pylist() == [f"c/{name}" for name in names]
    assert table.count_rows() == 20
    assert table.count_rows(filter=pc.field("id") == "c/03.wav") == 1
    assert sum(batch.num_rows for batch in table.scanner(columns=["text"]).to_batches()) == 20
    assert pipeline.read_table(Path(made.output)).count_rows() == 20


def test_pending_units_and_strange_files_are_left_out(made: Any) -> None:
    made.plan("a.wav", "b.wav")
    made.commit(0)
    pq.write_table(
        pq.read_table(made.file(0)), Path(made.output, "transcribe", "0" * 32 + ".parquet"), write_page_checksum=True
    )
    Path(made.output, "transcribe", ".x.parquet.tmp").write_bytes(b"half a file")
    assert shown(made) == {"c/a.wav": "1-1"}


def flipped(data: bytes, column: str) -> bytes:
    """A file with one bit of a column's data changed, which Parquet without checksums reads."""
    whole = pq.ParquetFile(pa.BufferReader(data))
    chunk = whole.metadata.row_group(0).column(whole.schema.names.index(column))
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    for at in range(start, start + chunk.total_compressed_size):
        changed = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        with contextlib.suppress(pa.ArrowException, OSError):
            if pq.read_table(pa.BufferReader(changed)).column(column) != whole.read().column(column):
                return changed
    raise AssertionError("no change of one bit goes unseen, so nothing is tested")


def test_one_bit_that_only_checksums_notice(made: Any) -> None:
    made.plan("a.wav", "b.wav")
    made.commit(text="so many words that a bit in the middle of them is a letter")
    made.file(1).write_bytes(flipped(made.file(1).read_bytes(), "text"))
    words = rf"^{made.file(1)}: cannot be read as Parquet \(.*CRC.*\)\. Delete it; the next run does that unit again\.$"
    table = read_table(made.output)
    assert table.to_table(columns=["id"]).num_rows == 2
    for read in (table.to_table, table.to_pandas, lambda: list(table.batches(columns=["text"]))):
        with pytest.raises(UserError, match=words):
            read()
    (violation,) = verify(made.output).violations
    assert violation.file == str(made.file(1))
    assert "CRC" in violation.message


def test_a_file_of_other_content_is_named(made: Any) -> None:
    made.plan("a.wav", "b.wav")
    made.commit()
    table = read_table(made.output)
    made.file(1).write_bytes(b"no Parquet, but longer than the least")
    for read in (table.to_table, table.count_rows):
        with pytest.raises(UserError, match=rf"^{made.file(1)}: cannot be read as Parquet .* Delete it"):
            read()
    made.file(1).unlink()
    with pytest.raises(UserError, match=rf"^{made.file(1)}: the file went away while it was being read"):
        table.to_table()
    made.file(1).write_bytes(b"")
    with pytest.raises(UserError, match=r"is no unit's file \(0 bytes\)"):
        read_table(made.output)


def test_a_mistake_of_the_caller_is_no_damage(made: Any) -> None:
    made.plan("a.wav")
    made.commit()
    with pytest.raises(pa.ArrowInvalid, match="No match for FieldRef"):
        read_table(made.output).to_table(columns=["nothing"])


def test_storage_that_fails_in_the_middle_is_a_fault(made: Any, s3_proxy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav")
    made.commit()
    table = read_table(made.output)
    hurry(monkeypatch)
    s3_proxy.refuse(r"^GET .*transcribe/[0-9a-f]{32}\.parquet", status=503, code="SlowDown")
    with pytest.raises(StorageFault, match=r"transcribe/[0-9a-f]{32}\.parquet: .* while reading"):
        table.to_table()


def test_storage_that_fails_for_a_moment_is_read_again(made: Any, s3_proxy: Any, monkeypatch: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a.wav")
    made.commit()
    hurry(monkeypatch, tries=6)
    unit = r"transcribe/[0-9a-f]{32}\.parquet"
    s3_proxy.refuse(f"^HEAD .*{unit}", status=503, code="", times=1)
    s3_proxy.refuse(f"^GET .*{unit}", status=500, code="InternalError", times=1)
    s3_proxy.cut_body(f"^GET .*{unit}", after=100, times=1)
    s3_proxy.shorten_body(f"^GET .*{unit}", to=100, times=1)
    assert read_table(made.output).to_table().num_rows == 1
    assert all(fault.times == 0 for fault in s3_proxy.faults)


def test_the_newest_committed_version_is_shown(made: Any) -> None:
    made.plan("a.wav", "b.wav", seconds=30.0)
    made.commit(0)
    made.plan("a.wav", version="2-2")
    assert shown(made) == {"c/a.wav": "1-1", "c/b.wav": "1-1"}
    made.commit(1)
    assert shown(made) == {"c/a.wav": "2-2", "c/b.wav": "1-1"}
    made.plan("a.wav", version="3-3")
    made.plan("a.wav", version="1-1")
    made.commit(3)
    assert shown(made) == {"c/a.wav": "1-1", "c/b.wav": "1-1"}
    table = read_table(made.output)
    assert table.count_rows() == 2
    assert table.to_table(columns=["text"], filter=pc.field("id") == "c/a.wav").num_rows == 1


def test_columns_added_later_are_null_in_older_files(made: Any) -> None:
    made.plan("a.wav")
    made.commit(0)
    more = dataclasses.replace(made.record, schema=made.record.schema.append(pa.field("language", pa.string())))
    made.record = more
    made.declare()
    assert read_table(made.output).to_pandas()["language"].isna().all()


def test_a_record_without_schema_takes_that_of_the_files(made: Any, task_schema: pa.Schema) -> None:
    made.record = dataclasses.replace(made.record, schema=None)
    made.plan("a.wav")
    made.declare()
    assert "id" in read_table(made.output).schema.names
    made.commit(0)
    assert read_table(made.output).schema.equals(task_schema)
