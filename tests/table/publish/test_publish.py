"""What is published is the newest row of each recording, whatever happened between two publishes."""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import StorageFault, UserError
from pipeline.plan.forgotten import remember
from pipeline.table import read_table
from pipeline.table.forget import forget, look
from pipeline.table.publish import manifest, publish, read_published, succession, withdraw
from pipeline.table.publish.checking import BY_FOOTER, WHOLE, contradictions
from pipeline.table.publish.difference import data_files
from pipeline.table.rewrite import rewrite
from pipeline.table.vacuum import vacuum
from pipeline.table.verify import QUICK, verify
from tests.table.conftest import Made, mislead, rows_of

TASK = "transcribe"

FOUND = Path(__file__).parents[2] / "fuzz/regressions/unit"
"""Files that once broke what reads them."""


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "out").mkdir()
    return Made(str(tmp_path / "out"))


def shown(output: str) -> dict[str, tuple[Any, ...]]:
    found = read_published(output).to_table(columns=["id", "version", "text", "unit"]).to_pylist()
    rows = {row["id"]: (row["version"], row["text"], row["unit"]) for row in found}
    assert len(rows) == len(found)
    return rows


def expected(output: str) -> dict[str, tuple[Any, ...]]:
    found = read_table(output).to_table(columns=["id", "version", "text", "unit"]).to_pylist()
    return {row["id"]: (row["version"], row["text"], row["unit"]) for row in found}


def holds(made: Made, **options: Any) -> Any:
    """Publish, and check the set against the table and its manifest against its files."""
    done = publish(made.output, TASK, **options)
    assert shown(made.output) == expected(made.output)
    assert list(contradictions(made.output, (), WHOLE)) == []
    return done


def folder(made: Made) -> Path:
    return Path(made.output, "_published", TASK)


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
    pq.write_table(whole.slice(1, 1), made.file(0))
    assert publish(made.output, TASK).replaced_files == 1
    assert set(shown(made.output)) == {"c/b", "c/c", "c/d"}
    *_, violation = verify(made.output).violations
    told = f"1 row of the unit {made.units[0].name}, for which the plan has 2. Delete it and publish again"
    assert (Path(violation.file).parent, violation.message) == (folder(made), told)


def published_then_away(made: Made, *names: str, **options: Any) -> None:
    """Publish recordings, and take the file of the first unit away, as a user does with a damaged one."""
    made.plan(*names, seconds=30.0)
    made.commit()
    holds(made, **options)
    made.file(0).unlink()


@pytest.mark.parametrize("column", [None, "id"])
def test_published_rows_stay_while_the_file_of_their_unit_is_away(made: Made, column: str | None) -> None:
    published_then_away(made, "a", "b", "c", "d")
    done = publish(made.output, TASK, partition_by=column)
    assert (done.away, done.lost, done.manifest.partition_by) == (1, 0, column)
    vacuum(made.output, min_age=0.0, dry_run=False)
    assert set(shown(made.output)) == {"c/a", "c/b", "c/c", "c/d"}
    assert publish(made.output, TASK).new_files == 0
    made.commit(0, text="another text than before")
    done = holds(made)
    assert (done.away, done.new_units) == (0, 0)
    assert shown(made.output)["c/a"][1] == "another text than before"


def test_newer_rows_take_the_place_of_published_ones_whose_unit_is_away(made: Made) -> None:
    published_then_away(made, "a", "b")
    made.plan("b", version="2-2")
    made.commit(1, text="new")
    assert publish(made.output, TASK).away == 1
    old, new = (unit.name for unit in made.units)
    assert shown(made.output) == {"c/a": ("1-1", "one two", old), "c/b": ("2-2", "new", new)}
    assert publish(made.output, TASK).new_files == 0


def test_no_older_row_comes_back_beside_a_published_one_whose_unit_is_away(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    made.plan("b", version="2-2")
    made.commit(1, text="new")
    before = holds(made).manifest.files
    made.file(1).unlink()
    assert publish(made.output, TASK).away == 1
    assert shown(made.output)["c/b"][:2] == ("2-2", "new")
    assert manifest.newest(made.output, TASK).files == before


def test_what_is_forgotten_goes_though_the_file_of_its_unit_is_away(made: Made) -> None:
    published_then_away(made, "a", "b", "c")
    remember(made.output, ["c/a"])
    assert publish(made.output, TASK).away == 1
    assert set(shown(made.output)) == {"c/b", "c/c"}


def test_a_unit_that_is_gone_from_both_is_told(made: Made) -> None:
    published_then_away(made, "a", "b", "c", "d", file_bytes=1)
    (first,) = [place for place in manifest.newest(made.output, TASK).units[made.units[0].name].files]
    (folder(made) / manifest.newest(made.output, TASK).files[first].path).unlink()
    done = publish(made.output, TASK, file_bytes=1)
    assert (done.away, done.lost) == (0, 1)
    assert set(shown(made.output)) == {"c/c", "c/d"}
    made.commit(0)
    assert holds(made).lost == 0


def test_what_another_table_has_published_is_refused(made: Made, tmp_path: Path) -> None:
    published_then_away(made, "a", "b")
    (tmp_path / "other").mkdir()
    other = Made(str(tmp_path / "other"))
    other.plan("x")
    other.commit()
    shutil.copytree(Path(made.output, "_published"), tmp_path / "other/_published")
    with pytest.raises(
        UserError, match=f"1 unit of what is published, such as {made.units[0].name}, the plan does not"
    ):
        publish(other.output, TASK)
    assert manifest.numbers(other.output, TASK) == [1]
    for each in (WHOLE, BY_FOOTER):
        ((file, told),) = contradictions(other.output, (), each)
        assert file == str(tmp_path / "other/_published" / TASK)
        assert told.endswith("Restore the plan, or move this folder away and publish again")


def other_row_hidden(made: Made) -> None:
    """Publish a unit whose row of `a` is hidden, then hide that of `b` instead: as many as before."""
    made.plan("a", "b", seconds=30.0)
    made.commit()
    made.plan("a", version="2-2")
    made.commit(1)
    before = holds(made, file_bytes=1).manifest
    (newer,) = before.units[made.units[1].name].files
    (folder(made) / before.files[newer].path).unlink()
    made.file(1).unlink()
    made.plan("b", version="2-2")
    made.commit(2)


def test_a_unit_of_which_another_row_is_hidden_now_is_rewritten(made: Made) -> None:
    other_row_hidden(made)
    assert holds(made).replaced_files == 2
    assert holds(made).new_files == 0


def as_the_release_before(file: Path) -> None:
    """Rewrite a manifest without what only newer releases tell."""
    rows = pq.read_table(file).select(["unit", "size", "hidden", "files"])
    told = json.loads(rows.schema.metadata[manifest._KEY])
    del told["digests"]
    pq.write_table(rows.replace_schema_metadata({manifest._KEY: json.dumps(told)}), file)


def test_a_manifest_that_does_not_tell_which_rows_are_hidden_is_read_and_not_believed(made: Made) -> None:
    other_row_hidden(made)
    as_the_release_before(folder(made) / "_manifests/000001.manifest")
    assert len(read_published(made.output).files) == 2
    assert holds(made).replaced_files == 2
    assert holds(made).new_files == 0


def test_a_manifest_of_the_release_before_holds_where_nothing_is_hidden(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    holds(made)
    as_the_release_before(folder(made) / "_manifests/000001.manifest")
    assert holds(made).new_files == 0


def test_a_published_file_that_is_gone_or_damaged_is_told_and_made_again(made: Made) -> None:
    made.plan(*"abcdef", seconds=30.0)
    made.commit()
    publish(made.output, TASK, file_bytes=1)
    first, second, _ = sorted(folder(made).glob("*.parquet"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-10])
    told = dict(contradictions(made.output, (), WHOLE))
    assert "is gone, and the manifest names it" in told[str(first)]
    assert "the manifest says" in told[str(second)]
    holds(made, file_bytes=1)


def flip_a_page(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[pq.read_metadata(file).row_group(0).column(3).data_page_offset + 40] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_page, "cannot be read as Parquet ("),
        (lambda file: mislead(file, b"c/a"), "what its footer says of column id hides rows from who looks for them."),
    ],
    ids=["a page", "the least of a column"],
)
def test_one_bit_of_a_published_file_is_found_by_who_reads_all_of_it(
    made: Made, damage: Callable[[Path], None], message: str
) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    (file,) = folder(made).rglob("*.parquet")
    damage(file)
    (violation,) = verify(made.output).violations
    assert (violation.file, violation.message.startswith(message)) == (str(file), True)
    assert violation.message.endswith("Delete it and publish again")
    file.unlink()
    holds(made)


def other_texts(file: Path) -> None:
    """Overwrite a published file with one as large, whose texts are others."""
    size, rows = file.stat().st_size, pq.read_table(file)
    texts = pa.array([text and text[::-1] for text in rows["text"].to_pylist()])
    rows = rows.set_column(rows.schema.get_field_index("text"), "text", texts)
    pq.write_table(rows, file, compression="zstd", write_page_checksum=True)
    assert file.stat().st_size == size


def test_another_file_that_is_as_large_is_found_by_who_reads_all_of_it(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    (file,) = folder(made).rglob("*.parquet")
    other_texts(file)
    (violation,) = verify(made.output).violations
    assert violation.message == "has other bytes than were published, and as many. Delete it and publish again"
    assert verify(made.output, look=QUICK).holds
    file.unlink()
    holds(made)


def test_of_an_older_release_only_files_of_other_units_are_found(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    first, second = publish(made.output, TASK, file_bytes=1).manifest.files
    as_the_release_before(folder(made) / "_manifests/000001.manifest")
    other_texts(folder(made) / first.path)
    assert verify(made.output).holds
    shutil.copyfile(folder(made) / second.path, folder(made) / first.path)
    told = {each.file: each.message for each in verify(made.output).violations}
    assert told[str(folder(made) / first.path)].startswith("holds rows of other units than the manifest says. Delete")


def test_rows_that_are_published_twice_are_found_by_who_reads_all(made: Made) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit()
    (first, _) = publish(made.output, TASK, file_bytes=1).manifest.files
    twice = pq.read_table(folder(made) / first.path)
    copy = folder(made) / f"{'0' * 32}.parquet"
    pq.write_table(twice.slice(1), copy, write_page_checksum=True)
    name_besides(made, copy)
    assert {each.file: each.message for each in verify(made.output).violations} == {
        str(file): "has 1 row that is in this set more than once, such as of 'c/b'. Delete it and publish again"
        for file in (folder(made) / first.path, copy)
    }
    assert verify(made.output, look=QUICK).holds
    for file in (folder(made) / first.path, copy):
        file.unlink()
    holds(made)


def name_besides(made: Made, file: Path) -> None:
    """Bring a set into force that has a file of one row besides, as no publish does."""
    before = manifest.newest(made.output, TASK)
    besides = manifest.PublishedFile(file.name, file.stat().st_size, rows=1, errors=0)
    held = dict(before.units)
    held[made.units[0].name] = held[made.units[0].name]._replace(files=(0, len(before.files)))
    after = dataclasses.replace(before, number=before.number + 1, files=(*before.files, besides), units=held)
    assert manifest.put(made.output, TASK, after)


def test_a_published_file_whose_rows_are_of_other_columns_is_found(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    (file,) = folder(made).rglob("*.parquet")
    file.write_bytes(file.read_bytes().replace(b"sample_rate", b"sample_rats"))
    (violation,) = verify(made.output).violations
    assert violation.message == "column sample_rate is missing. Delete it and publish again"


@pytest.mark.parametrize("twice", [False, True])
def test_a_file_of_another_unit_s_rows_is_told_and_never_published(made: Made, twice: bool) -> None:
    made.plan("a", "b", "c", "d", seconds=30.0)
    made.commit(0)
    holds(made)
    made.commit(1)
    wrong = pq.read_table(made.file(1)).take([0, 0]) if twice else pq.read_table(made.file(0))
    pq.write_table(wrong, made.file(1))
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


def test_a_manifest_that_nobody_could_read_is_not_put_and_leaves_nothing(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.plan("a", "b")
    made.commit(0)
    holds(made)
    made.commit(1)
    before = data_files(made.output, TASK)
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "encode", lambda after: b"no manifest at all")
        with pytest.raises(ValueError, match="Parquet"):
            publish(made.output, TASK)
    assert manifest.numbers(made.output, TASK) == [1]
    assert data_files(made.output, TASK) == before
    holds(made)


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


def test_who_loses_starts_again_and_leaves_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b")
    made.commit(0)
    others = [lambda: made.commit(1), lambda: publish(made.output, TASK)]
    put = manifest.put

    def overtaken(*given: Any) -> bool:
        while others:
            others.pop(0)()
        return put(*given)

    monkeypatch.setattr(manifest, "put", overtaken)
    done = holds(made)
    assert (done.manifest.number, done.new_units) == (1, 0)
    assert data_files(made.output, TASK).keys() == {each.path for each in done.manifest.files}


def test_several_at_once_agree(made: Made) -> None:
    names: list[str] = []
    for round in range(4):
        names += [f"{round}{number}" for number in range(3)]
        made.plan(*names)
        made.commit()
        with ThreadPoolExecutor(3) as pool:
            done = list(pool.map(lambda _: publish(made.output, TASK, file_bytes=1), range(3)))
        assert {each.manifest.rows for each in done} == {len(names)}
        assert shown(made.output) == expected(made.output)
    named = {each.path for each in manifest.newest(made.output, TASK).files}
    assert data_files(made.output, TASK).keys() == named, "those who lost left nothing"


def test_a_crash_at_any_moment_leaves_the_old_set(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b")
    made.commit(0)
    holds(made)
    before = shown(made.output)
    made.commit(1)

    class Killed(BaseException):
        pass

    def dies(*given: Any) -> Any:
        raise Killed

    for name in ("put", "encode"):
        with monkeypatch.context() as patch:
            patch.setattr(manifest, name, dies)
            with pytest.raises(Killed):
                publish(made.output, TASK)
        assert shown(made.output) == before
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.table.publish.splitter.put_file", dies)
        with pytest.raises(Killed):
            publish(made.output, TASK)
    assert shown(made.output) == before
    holds(made)


def test_an_answer_that_is_lost_does_not_lose_the_set(made: Made, s3_proxy: Any) -> None:
    made.output = f"{s3_proxy.bucket.uri}/out"
    made.plan("a", "b")
    made.commit()
    s3_proxy.lose_answer(r"^PUT .*/_manifests/000001\.manifest", times=1)
    assert holds(made).manifest.number == 1
    s3_proxy.requests.clear()
    table = read_published(made.output)
    assert [line.split()[0] for line in s3_proxy.requests] == ["GET", "GET", "GET"]
    read_published(made.output, task=TASK)
    assert len(s3_proxy.requests) == 5
    assert table.count_rows() == 2
    assert withdraw(made.output, ["c/a"]) != []
    assert set(shown(made.output)) == {"c/b"}


def test_storage_that_fails_when_the_manifest_is_put_leaves_its_files(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.plan("a")
    made.commit()

    put = manifest.put_if_absent

    def fails(*given: Any) -> bool:
        assert put(*given)
        raise StorageFault("the answer never came")

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "put_if_absent", fails)
        with pytest.raises(StorageFault):
            publish(made.output, TASK)
    assert shown(made.output) == expected(made.output)


@pytest.mark.parametrize("junk", [b"", b"junk" * 10])
def test_a_damaged_manifest_is_told(made: Made, junk: bytes) -> None:
    made.plan("a")
    made.commit()
    holds(made)
    file = folder(made) / "_manifests/000001.manifest"
    file.write_bytes(junk)
    with pytest.raises(UserError, match=r"000001\.manifest: the manifest of what is published is damaged .* Delete it"):
        read_published(made.output)
    ((name, _),) = contradictions(made.output, (), WHOLE)
    assert name == str(file)


def test_where_a_manifest_is_damaged_and_an_older_one_is_there_that_holds_again(made: Made) -> None:
    made.plan("a", "b")
    made.commit(0)
    holds(made)
    made.commit(1)
    holds(made)
    file = folder(made) / "_manifests/000002.manifest"
    file.write_bytes(b"junk")
    with pytest.raises(UserError, match="Delete it: the one before it holds again, and the next publish adds what"):
        publish(made.output, TASK)
    file.unlink()
    assert set(shown(made.output)) == {"c/a"}
    holds(made)


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
    pq.write_table(pq.read_table(file).drop_columns(["id"]), file)
    with pytest.raises(UserError, match=r"cannot be read as Parquet \(it has no column id\), so nobody knows"):
        withdraw(made.output, ["c/a"])


def test_a_withdrawal_stays_when_the_unit_file_was_rewritten_before(made: Made) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    publish(made.output, TASK)
    rest = pq.read_table(made.file(0)).slice(1, 1)
    pq.write_table(rest, made.file(0))
    withdraw(made.output, ["c/a"])
    publish(made.output, TASK)
    assert set(shown(made.output)) == {"c/b"}


def test_rows_forgotten_while_they_are_copied_do_not_stay(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    made.plan("a", "b", seconds=30.0)
    made.commit()
    rest = pq.read_table(made.file(0)).slice(1, 1)
    put = manifest.put

    def forgotten(*given: Any) -> bool:
        pq.write_table(rest, made.file(0))
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


def agrees(made: Made, before: dict[str, tuple[Any, ...]]) -> None:
    """Check a set against the table, where rows of units that are away are as they were `before`."""
    found, now = shown(made.output), expected(made.output)
    there = {file.stem for file in Path(made.output, TASK).glob("*.parquet")}
    assert {id: row for id, row in found.items() if row[2] in there} == {
        id: row for id, row in now.items() if found[id][2] in there
    }
    assert all(before[id] == row for id, row in found.items() if row[2] not in there)
    assert list(contradictions(made.output, (), WHOLE)) == []


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2, 3))])
def test_random_histories(made: Made, seed: int) -> None:
    dice = random.Random(seed)
    versions: dict[str, str] = {}
    before: dict[str, tuple[Any, ...]] = {}
    made.declare()
    for step in range(12):
        for name in dice.sample("abcdefgh", 3 if step else 8):
            versions[name] = f"{step}-{step}"
        for version in sorted(set(versions.values())):
            made.plan(
                *(name for name in versions if versions[name] == version),
                version=version,
                seconds=dice.choice([10.0, 30.0]),
            )
        count = len(made.units)
        for number in dice.sample(range(count), dice.randrange(count + 1)):
            made.put(made.unit(number), rows_of(made.unit(number), text=made.units[number].name))
        committed = sorted(Path(made.output, TASK).glob("*.parquet"))
        for file in dice.sample(committed, len(committed) // 3):
            file.unlink()  # as a user does with a damaged one
        if dice.random() < 0.3 and data_files(made.output, TASK):
            dice.choice(sorted(folder(made).rglob("*.parquet"))).unlink()
        if dice.random() < 0.8:
            publish(
                made.output, TASK,
                partition_by=dice.choice([None, None, "", "span"]), file_bytes=dice.choice([1, 10**6]),
            )  # fmt: skip
            agrees(made, before)
            before = shown(made.output)


def test_the_door_is_public(made: Made) -> None:
    made.plan("a")
    made.commit()
    publish(made.output, TASK)
    assert pipeline.read_published(Path(made.output)).count_rows() == 1
    assert succession.FILE_BYTES == 512_000_000
