"""A command whose reader goes away ends as quietly, and with the same code, as one that is read to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.noise import console_on
from pipeline.unread import forgiving, may_go_unread

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def broken() -> Iterator[int]:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize(
    "command",
    ["-m pipeline.cli", "jobs/transcribe_corpus.py --help", "-m pipeline.tuning --help", "-m pipeline.table --help"],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_no_command_minds(command: str, unbuffered: str, broken: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=ROOT,
        env=environment,
        stdout=broken,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_printed_after_the_reader_left_is_dropped(broken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.dup(broken), "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with may_go_unread():
            print("one")
            sys.stdout.flush()
            print("two")
        assert sys.stdout is stream
        stream.flush()


def test_a_console_goes_on(broken: int) -> None:
    with open(os.dup(broken), "w") as stream:
        console = console_on(stream)
        for _ in range(3):
            console.print("line")
    assert not console.quiet


def test_other_faults_are_no_secret(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with (tmp_path / "file").open() as stream, pytest.raises(OSError, match="not writable"):
        forgiving(stream).write("x")
