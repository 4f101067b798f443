"""Ray's object store and the disk that it spills to are both full: told as such, code 4, and with room it goes on."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.chaos.promise import check
from tests.jobs.corpora import JOB, MODEL, RATE, environment

OBJECT_STORE = 80_000_000
"""Bytes; Ray wants 75 MB at least. Features of an hour, 50 frames/s of 160 float32, take 115 MB."""
HOURS = 2
"""Recordings, each in a unit of its own, so that more than the features of one are on their way."""
DISK = "100m"
"""What Ray's own files find room in, and those features do not."""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A real small disk for a real object store to spill to, with a name so short that Ray's sockets go there too."""
    folder = Path(tempfile.mkdtemp())
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("a small disk may not be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_full_object_store_on_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path: Path, disk: Path) -> None:
    minute = (np.random.default_rng(0).standard_normal(60 * RATE) * 3000).astype(np.int16)
    source = tmp_path / "in"
    source.mkdir()
    for hour in range(HOURS):
        soundfile.write(source / f"{hour}.wav", np.tile(minute, 60), RATE)

    def run(temporary: Path) -> tuple[int, str]:
        words = [str(source), str(tmp_path / "out"), "--model", MODEL, "--corpus", "c", "--device", "cpu"]
        variables = {"TMPDIR": str(temporary), "VOXMILL_OBJECT_STORE_BYTES": str(OBJECT_STORE)}
        ended = subprocess.run(
            [sys.executable, *JOB, *words], env=environment(tmp_path, **variables), cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stdout

    code, told = run(disk)
    assert code == 4, told
    assert "Ray's object store is full and so is the disk that it spills to: make room there" in told
    assert "run the same command again" in told
    assert "Traceback" not in told
    code, told = run(tmp_path)
    assert code == 0, told
    assert check(str(tmp_path / "out"), ids=[f"c/{hour}.wav" for hour in range(HOURS)]).rows == HOURS
