"""Vacuum removes of what is published only what nobody can be reading; verify tells what the manifest does not."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipeline.table import read_table
from pipeline.table.publish import manifest, publish, read_published
from pipeline.table.vacuum import left_overs, vacuum
from pipeline.table.verify import verify
from tests.table.conftest import Made
from tests.table.publish.sets import TASK, folder


@pytest.fixture
def made(tmp_path: Path) -> Made:
    (tmp_path / "out").mkdir()
    made = Made(str(tmp_path / "out"))
    made.plan("a", "b")
    made.commit()
    publish(made.output, TASK)
    return made


def age(file: Path, hours: float) -> None:
    os.utime(file, (time.time() - hours * 3600, time.time() - hours * 3600))


def test_what_is_in_force_stays_however_old(made: Made) -> None:
    for file in folder(made).rglob("*"):
        age(file, 1000)
    assert list(left_overs(made.output)) == []


def test_a_replaced_set_stays_as_long_as_it_may_be_open(made: Made) -> None:
    publish(made.output, TASK, partition_by="span")
    first = folder(made) / "_manifests/000001.manifest"
    (data,) = folder(made).glob("*.parquet")
    for file in (first, data):
        age(file, 1000)
    assert list(left_overs(made.output)) == [], "it was in force until just now"
    age(folder(made) / "_manifests/000002.manifest", 25)
    assert {Path(each.uri) for each in left_overs(made.output)} == {first, data}
    vacuum(made.output, dry_run=False)
    assert manifest.numbers(made.output, TASK) == [2]
    assert read_published(made.output).count_rows() == read_table(made.output).count_rows() == 2


def test_files_of_a_publish_that_died_go_when_they_are_old(made: Made) -> None:
    orphan = folder(made) / f"span=1/{'a' * 32}.parquet"
    orphan.parent.mkdir()
    orphan.write_bytes(b"half a set")
    draft = folder(made) / f"_manifests/.000002.manifest.{'b' * 32}.tmp"
    draft.write_bytes(b"half a manifest")
    (folder(made) / "notes.txt").write_text("of the user")
    assert list(left_overs(made.output)) == []
    age(orphan, 25)
    age(draft, 25)
    assert {Path(each.uri) for each in left_overs(made.output)} == {orphan, draft}


def test_without_a_manifest_files_stay_and_verify_asks_for_one(made: Made) -> None:
    (data,) = folder(made).glob("*.parquet")
    manifest_file = folder(made) / "_manifests/000001.manifest"
    manifest_file.write_bytes(manifest_file.read_bytes()[:-10])
    (damaged,) = verify(made.output).violations
    assert damaged.message.endswith(
        "Delete it: nothing is published then until the next publish, which makes the whole set anew."
    )
    manifest_file.unlink()
    assert verify(made.output).holds, "a first publish may be at work"
    age(data, 1.1)
    (violation,) = verify(made.output).violations
    assert (violation.file, violation.message) == (
        str(folder(made)),
        "has 1 file and no manifest that names any. Publish again, or remove it",
    )
    age(data, 1000)
    assert list(left_overs(made.output)) == []
    publish(made.output, TASK)
    assert verify(made.output).complete
    age(folder(made) / "_manifests/000001.manifest", 25)
    assert [Path(each.uri) for each in left_overs(made.output)] == [data]


def test_verify_looks_at_what_is_published(made: Made) -> None:
    assert verify(made.output).complete
    (file,) = folder(made).glob("*.parquet")
    file.unlink()
    (violation,) = verify(made.output).violations
    assert violation.file == str(file)
    assert "is gone, and the manifest names it. Publish again" in violation.message
    publish(made.output, TASK)
    assert verify(made.output).complete
