"""Output or temporary files on a full disk: a clear message, exit code 4, nothing by half; the same command goes on."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import cli, job, noise
from pipeline.errors import StorageFault
from pipeline.table.verify import verify
from tests.chaos import pieces
from tests.chaos.promise import check, watch
from tests.chaos.quiet import at_hand
from tests.jobs.corpora import MODEL

PIECES = 8
SIZE = 1 << 20
"""Bytes of the small disk."""
WHOLE = 150_000
"""About what the whole table takes of it."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in sorted(pieces.pool())[:PIECES]:
        (folder / name).write_bytes(pieces.pool()[name])
    return folder


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A disk that can be filled: a real small one where the system lets us, otherwise one that says it is full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        fsync = os.fsync

        def full(number: int) -> None:
            if used(folder) > SIZE:
                raise OSError(errno.ENOSPC, "No space left on device")
            fsync(number)

        monkeypatch.setattr(os, "fsync", full)
        yield folder
        return
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def used(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*"))


@pytest.fixture
def run(source: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[Path], tuple[int, str]]:
    def run(output: Path) -> tuple[int, str]:
        words = ["transcribe", str(source), str(output), "--model", MODEL, "--corpus", "c", "--unit-seconds", "1"]
        with at_hand():
            code = cli.main([*words, "--device", "cpu"])
        return code, "".join(capfd.readouterr())

    return run


@pytest.mark.parametrize("share", [0.0, 0.15, 0.6])
def test_a_full_disk_is_told_and_the_same_command_goes_on(
    share: float, disk: Path, run: Callable[[Path], tuple[int, str]]
) -> None:
    filler = disk / "filler"
    filler.write_bytes(bytes(SIZE - int(share * WHOLE)))
    output = disk / "out"
    code, told = run(output)
    assert code == 4, told
    assert "no space left on the disk" in told
    assert "Traceback" not in told
    left = [path for path in disk.rglob("*") if path.name.endswith(".tmp")]
    assert left == []
    done: set[str] = set()
    if (output / "transcribe").is_dir():
        done = watch(str(output), "transcribe", set())
        assert verify(str(output)).holds
    assert len(done) < PIECES
    before = {name: (output / "transcribe" / name).stat().st_ino for name in done}
    filler.unlink()
    code, told = run(output)
    assert code == 0, told
    assert 0.5 * WHOLE < used(output) < 1.5 * WHOLE
    check(output, ids=[f"c/{name}" for name in sorted(pieces.pool())[:PIECES]])
    assert {name: (output / "transcribe" / name).stat().st_ino for name in done} == before, "what was done stays"


def test_a_log_that_is_full_takes_nothing_from_the_message_the_summary_and_the_code(
    source: Path, tmp_path: Path, run: Callable[[Path], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*given: object, **options: object) -> str:
        raise StorageFault("out/transcribe: no space left on the disk")

    for file in sorted(source.iterdir())[1:]:
        file.unlink()
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(noise, "_log", lambda: (full, tmp_path / "none.log"))
    monkeypatch.setattr(job, "commit", refused)
    code, told = run(tmp_path / "out")
    assert code == 4, told
    assert "out/transcribe: no space left on the disk" in told
    assert "1 unit" in told
    assert "Traceback" not in told


def test_no_place_for_temporary_files_is_told_in_one_line(
    tmp_path: Path, run: Callable[[Path], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        code, told = run(tmp_path / "out")
    assert code == 4, told
    assert told.splitlines()[-1].startswith(f"{tmp_path}/gone: no place for temporary files")
    assert "Traceback" not in told
