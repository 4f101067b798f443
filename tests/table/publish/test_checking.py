"""What is wrong with published files is found, and told with the remedy."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.table.publish import manifest, publish, read_published
from pipeline.table.publish.checking import WHOLE, contradictions
from pipeline.table.verify import QUICK, verify
from tests.table.conftest import Made, mislead
from tests.table.publish.sets import TASK, as_the_release_before, folder, holds, shown


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
