"""What is said on the screen while the libraries' noise goes elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from rich.table import Table

from pipeline import noise
from pipeline.noise import console_on, kept_off, removed

SCRIPT = """
import os, sys
from pipeline.noise import kept_off, removed
with kept_off(show=False) as (console, aside):
    os.write(1, b"noise of C++\\n")
    print("noise of Python", file=sys.stderr)
    console.print("progress")
    aside.errors.print("mistake")
    said = aside.log.read_text()
removed(aside.log)
assert said.splitlines() == ["noise of C++", "noise of Python"], said
print("after")
"""


def test_progress_is_on_standard_output_and_mistakes_on_standard_error():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["progress", "after"]
    assert done.stderr.splitlines() == ["mistake"]


class Cell(io.StringIO):
    """A notebook's stream: it leads elsewhere than the process's descriptor."""

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def test_a_notebook_shows_what_is_said_where_its_own_prints_appear(monkeypatch, capfd):
    out, err = Cell(), Cell()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with kept_off(show=False) as (console, aside):
        print("noise")
        console.print("progress")
        aside.errors.print("mistake")
        assert out.getvalue() == "progress\n"
    removed(aside.log)
    assert sys.stdout is out
    assert (out.getvalue(), err.getvalue()) == ("progress\n", "mistake\n")
    assert capfd.readouterr() == ("", "")


def test_what_is_captured_by_replacing_the_stream_is_captured(capsys):
    with kept_off(show=False) as (console, aside):
        console.print("progress")
    removed(aside.log)
    assert capsys.readouterr().out == "progress\n"


def test_nothing_is_kept_off_where_all_is_to_be_shown(capsys):
    with kept_off(show=True) as (console, aside):
        print("noise")
        console.print("progress")
        aside.errors.print("mistake")
    assert aside.log is None
    assert capsys.readouterr() == ("noise\nprogress\n", "mistake\n")


def test_the_width_is_the_terminals_though_standard_input_is_none(monkeypatch):
    termios = pytest.importorskip("termios")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 61))
    monkeypatch.setattr(noise.os, "isatty", lambda descriptor: False)
    with os.fdopen(theirs, "w") as stream:
        assert console_on(stream).width == 61
    os.close(ours)


def test_only_a_terminal_is_drawn_on_whatever_the_environment_says(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.delenv("COLUMNS", raising=False)
    console = console_on(Cell())
    assert (console.is_terminal, console.is_jupyter) == (False, False)
    assert console.width == noise.PLAIN_WIDTH


@pytest.mark.parametrize("name", ["file:///s.tar::key:", "spk:fire:1", "[bold]a[/bold].wav"])
def test_names_are_shown_as_they_are(name):
    stream = Cell()
    console = console_on(stream)
    table = Table(box=None, show_header=False)
    table.add_row(name)
    console.print(name)
    console.print(table)
    assert [line.strip() for line in stream.getvalue().splitlines()] == [name, name]


@contextlib.contextmanager
def kept_nowhere(patch):
    patch.setattr(tempfile, "tempdir", "/nowhere")
    with kept_off(show=False) as found:
        patch.undo()
        yield found


def test_noise_goes_nowhere_where_it_has_no_place(monkeypatch, capfd):
    with monkeypatch.context() as patch, kept_nowhere(patch) as (console, aside):
        os.write(1, b"noise of C++\n")
        print("noise of Python")
        console.print("progress")
    assert aside.log is None
    assert capfd.readouterr() == ("progress\n", "")


@pytest.fixture
def logs(tmp_path, monkeypatch):
    """Makes a file of an age in the folder of the logs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def make(name: str, *, days: float) -> Path:
        file = tmp_path / name
        file.write_text("noise")
        then = time.time() - days * 24 * 3600
        os.utime(file, (then, then))
        return file

    return make


def test_logs_of_runs_that_were_killed_are_removed_after_a_week(logs, tmp_path):
    old, young, other = (
        logs("voxmill-a.log", days=8), logs("voxmill-b.log", days=6), logs("notes.log", days=99),
    )  # fmt: skip
    link, aim = tmp_path / "voxmill-link.log", logs("aim", days=99)
    link.symlink_to(aim)
    os.utime(link, (0, 0), follow_symlinks=False)
    (tmp_path / "voxmill-folder.log").mkdir()
    os.utime(tmp_path / "voxmill-folder.log", (0, 0))
    with kept_off(show=False) as (_, aside):
        pass
    removed(aside.log)
    assert not old.exists()
    assert young.exists()
    assert other.exists()
    assert aim.exists()
    assert link.is_symlink()
    assert (tmp_path / "voxmill-folder.log").is_dir()


def test_logs_of_others_stay(logs, monkeypatch):
    old = logs("voxmill-a.log", days=8)
    monkeypatch.setattr(noise.os, "geteuid", lambda: old.stat().st_uid + 1)
    with kept_off(show=False) as (_, aside):
        pass
    removed(aside.log)
    assert old.exists()
