"""What is forgotten is in no published file, whoever published or rewrote meanwhile."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.plan.forgotten import remember
from pipeline.table.forget import forget, look
from pipeline.table.publish import manifest, publish, read_published, withdraw
from pipeline.table.publish.checking import WHOLE, contradictions
from pipeline.table.rewrite import rewrite
from pipeline.table.verify import verify
from tests.table.conftest import Made, mislead
from tests.table.publish.sets import FOUND, TASK, folder, holds, shown


def test_withdrawn_rows_are_in_no_file_at_all(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    assert withdraw(made.output, ["c/a"]) == []
    publish(made.output, TASK)
    publish(made.output, TASK, partition_by="id")
    replaced = withdraw(made.output, ["c/a", "c/nobody"])
    assert len(replaced) == 2, "the file of the set before is gone too"
    assert set(shown(made.output)) == {"c/b", "c/c", "c/d"}
    ids = [
        id for file in folder(made).rglob("*.parquet") for id in pq.read_table(file, columns=["id"])["id"].to_pylist()
    ]
    assert "c/a" not in ids
    assert withdraw(made.output, ["c/a"]) == []
    assert withdraw(made.output, []) == []


@pytest.mark.parametrize("damage", ["column-of-a-row-group-not-set", "footer-no-thrift", "column-name-no-utf8"])
def test_a_damaged_file_is_told_by_who_looks_for_rows_in_it(made: Made, damage: str) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    (file,) = folder(made).rglob("*.parquet")
    file.write_bytes((FOUND / f"{damage}.bin").read_bytes())
    with pytest.raises(UserError, match="cannot be read as Parquet .*Delete it"):
        withdraw(made.output, ["c/nobody", "c/a.wav"])


def test_no_bit_of_a_footer_keeps_a_row_from_who_withdraws_it(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    (file,) = folder(made).rglob("*.parquet")
    mislead(file, b"c/a")
    assert read_published(made.output).count_rows(filter=pa.compute.field("id") == "c/a") == 0
    assert withdraw(made.output, ["c/a"]) == [str(file)]
    assert set(shown(made.output)) == {"c/b"}


def test_a_file_without_ids_is_told_by_who_looks_for_rows_in_it(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    (file,) = folder(made).rglob("*.parquet")
    pq.write_table(pq.read_table(file).drop_columns(["id"]), file, write_page_checksum=True)
    with pytest.raises(UserError, match=r"cannot be read as Parquet \(it has no column id\), so nobody knows"):
        withdraw(made.output, ["c/a"])


def test_a_withdrawal_stays_when_the_unit_file_was_rewritten_before(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    rest = pq.read_table(made.file(0)).slice(1, 1)
    pq.write_table(rest, made.file(0), write_page_checksum=True)
    withdraw(made.output, ["c/a"])
    publish(made.output, TASK)
    assert set(shown(made.output)) == {"c/b"}


def test_rows_forgotten_while_they_are_copied_do_not_stay(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    rest = pq.read_table(made.file(0)).slice(1, 1)
    put = manifest.put

    def forgotten(*given: Any) -> bool:
        pq.write_table(rest, made.file(0), write_page_checksum=True)
        withdraw(made.output, ["c/a"])
        return put(*given)

    monkeypatch.setattr(manifest, "put", forgotten)
    publish(made.output, TASK)
    assert set(shown(made.output)) == {"c/b"}


def test_no_file_that_was_written_while_somebody_forgot_stays(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    put, times = manifest.put, []

    def late(*given: Any) -> bool:
        times.append(given)
        if len(times) == 1:
            # Whoever forgets has looked through what is published before the new file was there.
            remember(made.output, ["c/a"])
            rewrite(made.output, str(made.file(0)))
        return put(*given)

    monkeypatch.setattr(manifest, "put", late)
    publish(made.output, TASK)
    assert set(shown(made.output)) == {"c/b"}
    ids = [id for file in folder(made).rglob("*.parquet") for id in pq.read_table(file)["id"].to_pylist()]
    assert ids == ["c/b"]


def test_forgotten_rows_are_neither_published_nor_left(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    publish(made.output, TASK, file_bytes=1)
    remember(made.output, ["c/a"])
    told = dict(contradictions(made.output, ["c/a"], WHOLE))
    (file,) = told
    assert "holds rows of forgotten recordings; `forget OUTPUT --yes`" in told[file]
    assert holds(made, file_bytes=1).replaced_files == 1
    assert set(shown(made.output)) == {"c/b", "c/c", "c/d"}
    forget(made.output, ["c/a"], look(made.output, ["c/a"]))
    assert list(contradictions(made.output, ["c/a"], WHOLE)) == []
    assert verify(made.output).holds
    holds(made, file_bytes=1)
