"""Temporary folders go with their block; those of killed processes go with the next one, those of living ones stay."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import StorageFault
from pipeline.scratch import WEEK, scratch

HOLDER = """
import sys, time
from pipeline.scratch import scratch
with scratch("s-one-") as folder:
    (folder / "half.parquet").write_bytes(b"half")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with such a folder, and the folder, made some time ago."""
    environment = {**os.environ, "TMPDIR": str(parent)}
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    age(folder, 300)
    yield process, folder
    process.kill()
    process.communicate()


def age(folder: Path, seconds: float) -> None:
    at = time.time() - seconds
    os.utime(folder, (at, at))


def test_it_is_there_in_the_block_and_gone_after_it(parent: Path) -> None:
    with scratch("s-one-") as folder:
        (folder / "part").touch()
        assert list(parent.iterdir()) == [folder]
    assert list(parent.iterdir()) == []


def test_that_of_a_killed_process_goes_and_that_of_a_living_one_stays(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, folder = holder
    with scratch("s-one-"):
        assert (folder / "half.parquet").is_file()
    process.send_signal(signal.SIGKILL)
    process.wait()
    with scratch("s-other-"):
        assert folder.is_dir()
    with scratch("s-one-"):
        assert not folder.exists()


def test_one_that_may_not_have_its_lock_yet_stays(parent: Path) -> None:
    new, old, oldest = (parent / f"s-one-{name}" for name in ("new", "old", "oldest"))
    for folder in (new, old, oldest):
        folder.mkdir()
    (new / "lock").touch()
    age(old, WEEK - 3600)
    age(oldest, WEEK + 3600)
    with scratch("s-one-"):
        assert [folder.is_dir() for folder in (new, old, oldest)] == [True, True, False]


def test_where_none_can_be_made_the_folder_and_the_remedy_are_named(
    parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(parent / "gone"))
    told = rf"{re.escape(str(parent))}/gone: no place for temporary files \(No such file or directory\).* TMPDIR"
    with pytest.raises(StorageFault, match=told), scratch("s-one-"):
        pass


def test_a_full_disk_is_a_fault_of_storage_and_other_errors_stay_what_they_are(parent: Path) -> None:
    told = rf"{re.escape(str(parent))}: no place for temporary files \(No space left on device\)"
    with pytest.raises(StorageFault, match=told), scratch("s-one-"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), scratch("s-one-") as folder:
        (folder / "nothing").read_bytes()
    assert list(parent.iterdir()) == []


def test_a_folder_that_takes_no_lock_is_a_fault_of_storage(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.scratch._LOCK", "no/lock")
    with pytest.raises(StorageFault, match="no place for temporary files"), scratch("s-one-"):
        pass
    assert list(parent.iterdir()) == []
