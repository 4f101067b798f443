"""Doors take any bytes, as a fuzzer makes them that knows nothing of what it makes; what atheris finds is told."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.fuzz import guided
from tests.fuzz.door import Check, Door, Opened
from tests.fuzz.reach import OURS
from tests.fuzz.run import doors

BYTES = [
    b"",
    *(bytes([value]) for value in b'\0\t\n "-0AP[\\{~\x7f\x80\xff'),
    *map(Random(1).randbytes, (2, 9, 80, 999)),
]
needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: python -m pip install atheris"
)


def test_any_bytes_are_told_as_they_must_be(opened: tuple[Door, Opened]) -> None:
    _, ready = opened
    for data in BYTES:
        ready.check(data)


@pytest.mark.parametrize(
    "data",
    [
        b"3", b"[1]", b'["vocab.json"]', b'"vocab.json"', b"{}", b"[" * 2000 + b"]" * 2000, b'{"/": 1}',
        b'{"../up": {"bytes": "a"}}', b'{"vocab.json": {"bytes": 5}}', b'{"vocab.json": {"bytes": "\\ud800"}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["vocabulary", "feature-settings"])
def test_bytes_that_are_no_files_of_a_checkpoint_are_one_of_them(name: str, data: bytes, tmp_path: Path) -> None:
    (door,) = doors([name])
    (tmp_path / "in").mkdir()
    door.open(tmp_path / "in").check(data)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def told(check: Check, folder: Path, *options: str) -> guided.Told:
    return guided.guided(made(check), folder, ["-max_total_time=20", *options])


def made(check: Check) -> Door:
    return Door("made", lambda folder: Opened([b"x"], check), 128 << 20)


def raises(data: bytes) -> bool:
    if data[:1] == b"y":
        raise KeyError("y")
    return True


def loops(data: bytes) -> bool:
    while data[:1] == b"y":
        pass
    return True


def takes(data: bytes) -> bool:
    if data[:1] == b"y":
        kept = b"\1" * (400 << 20)
        # libFuzzer looks once a second.
        time.sleep(2)
        return kept[0] > 0
    return True


def dies(data: bytes) -> bool:
    if data[:1] == b"y":
        os.abort()
    return True


@needs_atheris
@pytest.mark.parametrize(
    ("check", "says"), [(raises, "KeyError: 'y'"), (loops, "timeout after"), (takes, "out-of-memory"), (dies, "deadly")]
)
def test_what_is_wrong_is_told_and_its_input_is_kept(check: Check, says: str, tmp_path: Path) -> None:
    found = told(check, tmp_path, "-timeout=1")
    what, _, name = found.finding.partition(" with ")
    assert what.startswith(says)
    assert (tmp_path / name).read_bytes()[:1] == b"y"


@needs_atheris
def test_a_door_that_nothing_is_wrong_with_ends_in_time(tmp_path: Path) -> None:
    found = told(lambda data: True, tmp_path, "-runs=50")
    assert (found.runs, found.finding) == (50, "")


@needs_atheris
def test_a_door_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    def open(_: Path) -> Opened:
        raise OSError("no door")

    assert guided.guided(Door("made", open), tmp_path, ()).finding == "exit code 1 with no input"
    assert "no door" in (tmp_path / "made.log").read_text()


@needs_atheris
def test_the_command_fails_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guided, "watched", lambda names: [made(raises), made(bool)])
    monkeypatch.setattr(sys, "argv", ["guided.py", "--minutes", "0.02", "--folder", str(tmp_path)])
    assert guided.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(", ")[2].partition(" with ")[0] for line in lines[:3]] == [
        "1 findings", "  KeyError: 'y'", "0 findings",
    ]  # fmt: skip


@pytest.mark.parametrize(("minutes", "limit"), [("0.005", 1), ("0", 1), ("0.02", 1), ("0.5", 30), ("2", 120)])
def test_a_limit_of_less_than_a_second_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: str, limit: int
) -> None:
    given: list[list[str]] = []
    monkeypatch.setattr(importlib.util, "find_spec", bool)
    monkeypatch.setattr(guided, "watched", lambda names: [made(bool)])
    monkeypatch.setattr(guided, "guided", lambda door, folder, options: given.append(options) or guided.Told(1, 1, ""))
    monkeypatch.setattr(sys, "argv", ["guided.py", "--minutes", minutes, "--folder", str(tmp_path), "-seed=3"])
    assert guided.main() == 0
    assert given == [[f"-max_total_time={limit}", "-seed=3"]]


@pytest.mark.parametrize("options", [["--door", "tar"], ["tar"], ["-seed", "3"], ["-seed=3", "--seed=3"]])
def test_what_is_no_option_is_refused(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(guided, "watched", None)
    monkeypatch.setattr(sys, "argv", ["guided.py", *options])
    with pytest.raises(SystemExit) as ended:
        guided.main()
    assert ended.value.code == 2
    assert options[-1] in capsys.readouterr().err


def script(*command: str) -> str:
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, *command], cwd=root, check=True, capture_output=True, text=True, timeout=120
    ).stdout


@needs_atheris
def test_a_door_for_a_second(tmp_path: Path) -> None:
    said = script("tests/fuzz/guided.py", "--doors", "success", "--minutes", "0.02", "--folder", str(tmp_path))
    line, last = said.splitlines()
    assert re.fullmatch(r"success +[\d,]{2,} runs, coverage +[\d,]{2,}, 0 findings", line)
    assert last == "nothing was found"


@needs_atheris
def test_every_parser_is_watched() -> None:
    said = script(
        "-c",
        "import sys; from tests.fuzz import guided; guided.watched()\n"
        "ours = {name: each for name, each in sys.modules.items() if name.startswith('pipeline.')}\n"
        "print(*(name for name, each in ours.items() if 'Atheris' in type(each.__loader__).__name__))",
    )
    assert set(OURS) <= set(said.split())
