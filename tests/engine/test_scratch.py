"""The folder of a local Ray goes with the run, is kept when asked, and does not stay for ever."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from pathlib import Path

import pytest

from pipeline.engine.scratch import scratch
from pipeline.errors import StorageFault


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch):
    # pytest's own folders have names that are too long for sockets.
    with tempfile.TemporaryDirectory(prefix="s-", dir="/tmp") as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        yield Path(folder)


def age(folder: Path) -> None:
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(folder, (long_ago, long_ago))


def test_it_is_there_in_the_block_and_gone_after_it(parent: Path) -> None:
    with scratch() as made:
        assert made.folder is not None
        assert made.folder.parent == parent
        (made.folder / "session_1").mkdir()
        (made.folder / "session_1/log").touch()
    assert list(parent.iterdir()) == []


def test_it_stays_if_somebody_keeps_it_and_its_logs_are_named(parent: Path) -> None:
    with scratch() as made:
        assert made.keep() == made.folder / "session_latest/logs"
    assert list(parent.iterdir()) == [made.folder]


def test_what_was_kept_goes_after_a_week(parent: Path) -> None:
    with scratch() as old:
        old.keep()
    with scratch() as new:
        new.keep()
    age(old.folder)
    with scratch():
        assert not old.folder.exists()
        assert new.folder.exists()


def test_a_run_that_lasts_longer_than_a_week_keeps_its_folder(parent: Path) -> None:
    with scratch() as running:
        age(running.folder)
        with scratch():
            assert running.folder.exists()


def test_where_names_would_be_too_long_another_place_is_taken(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = parent / ("d" * 60)
    deep.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(deep))
    with scratch() as made:
        assert made.folder.parent == Path("/tmp")


def test_a_disk_without_room_is_a_fault_of_storage(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: str) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(StorageFault, match=f"{parent}: no place for temporary files .* TMPDIR"), scratch():
        pass
