"""Folders by the values of a column, as other readers know them."""

from __future__ import annotations

import dataclasses
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from pipeline.errors import UserError
from pipeline.table.publish import manifest, publish, read_published
from pipeline.table.publish.difference import data_files
from tests.table.conftest import Made, rows_of
from tests.table.publish.sets import TASK, expected, folder, holds, shown


def test_a_column_makes_folders_that_other_readers_know(made: Made) -> None:
    made.record = dataclasses.replace(
        made.record, schema=made.record.schema.insert(0, pa.field("language", pa.string()))
    )
    made.plan(*"abcdef", seconds=30.0)
    made.declare()
    spoken = {"c/a": "en", "c/b": "d e/=%ü", "c/c": None, "c/d": "en", "c/e": "", "c/f": "en"}
    for number in range(3):
        unit = made.unit(number)
        rows = rows_of(unit)
        languages = pa.array([spoken[each.id] for each in unit.recordings])
        made.put(unit, rows.add_column(0, "language", languages))
    assert holds(made).manifest.partition_by is None
    done = holds(made, partition_by="language")
    assert len(done.manifest.files) == 4
    assert (folder(made) / "language=d%20e%2F%3D%25%C3%BC").is_dir()
    assert (folder(made) / "language=__HIVE_DEFAULT_PARTITION__").is_dir()
    found = duckdb.sql(
        f"select id, language from read_parquet('{folder(made)}/*/*.parquet', hive_partitioning=true)"
    ).fetchall()
    assert {id: language or None for id, language in found} == {id: value or None for id, value in spoken.items()}
    english = read_published(made.output).count_rows(filter=pa.compute.field("language") == "en")
    assert english == 3
    made.plan(*"abcdefg", seconds=30.0)
    made.put(made.unit(3), rows_of(made.unit(3)).add_column(0, "language", pa.array(["en"])))
    again = holds(made)
    assert (again.manifest.partition_by, again.new_files, again.replaced_files) == ("language", 1, 0)
    assert holds(made, partition_by="").manifest.partition_by is None


def test_a_value_with_a_nul_makes_a_folder_too(made: Made) -> None:
    made.record = dataclasses.replace(made.record, schema=made.record.schema.insert(0, pa.field("who", pa.string())))
    made.plan("a")
    made.declare()
    made.put(made.unit(0), rows_of(made.unit(0)).add_column(0, "who", pa.array(["x\0y"])))
    assert holds(made, partition_by="who").manifest.files[0].partition == "x\0y"
    assert (folder(made) / "who=x%00y").is_dir()
    assert holds(made).new_files == 0
    assert read_published(made.output).to_table()["who"].to_pylist() == ["x\0y"]


def test_columns_that_make_no_folders_are_refused(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b", "c")
    made.commit()
    for column in ("words", "nonsense", "confidence"):
        with pytest.raises(
            UserError,
            match=f"--partition-by: '{column}' cannot name folders; these columns can: id, source",
        ):
            publish(made.output, TASK, partition_by=column)
    monkeypatch.setattr("pipeline.table.publish.splitter.MAX_PARTITIONS", 2)
    with pytest.raises(UserError, match="--partition-by id: has more than 2 values"):
        publish(made.output, TASK, partition_by="id")
    assert data_files(made.output, TASK) == {}
    assert manifest.numbers(made.output, TASK) == []


def test_a_value_too_long_for_the_name_of_a_folder_is_refused(made: Made) -> None:
    made.plan("a", "b")
    # `id=` and `c%2F` take 7 bytes of the 255, and a letter with an accent takes 6.
    made.plan("ü" * 41 + "xx")
    made.commit()
    holds(made, partition_by="id")
    made.plan("ü" * 41 + "xxx")
    made.commit()
    before = data_files(made.output, TASK)
    with pytest.raises(
        UserError,
        match=r"^--partition-by id: the value that begins with 'c/ü{30}' makes a folder name of 256 bytes, and a disk "
        r"takes 255\. Choose another column, or none$",
    ):
        publish(made.output, TASK)
    assert data_files(made.output, TASK) == before
    holds(made, partition_by="")


def test_a_store_has_no_folders_whose_names_could_be_too_long(made: Made, s3_server: Any) -> None:
    made.output = f"{s3_server.uri}/out"
    made.plan("x" * 300)
    made.commit()
    assert publish(made.output, TASK, partition_by="id").manifest.rows == 1
    assert shown(made.output) == expected(made.output)
