"""What an input does to the process that it is put through is found: exceptions, crashes, endless loops, memory."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz import session as sessions
from tests.fuzz.door import Check, Door, Opened
from tests.fuzz.session import session


def made(check: Check) -> Door:
    return Door("made", lambda folder: Opened([b"x"], check, lambda dice, seeds: bytes([dice.randrange(4)])), 64 << 20)


def told(check: Check, folder: Path) -> tuple[int, list[str]]:
    found = session(made(check), 1, range(40), deadline=time.monotonic() + 60, folder=folder)
    return found.cases, found.findings


def test_inputs_that_come_through_are_counted(tmp_path: Path) -> None:
    found = session(made(lambda data: data > b"\1"), 1, range(40), deadline=time.monotonic() + 60, folder=tmp_path)
    assert (found.cases, found.findings) == (40, [])
    assert 0 < found.past < 40


def test_the_same_numbers_are_the_same_inputs_wherever_one_begins(tmp_path: Path) -> None:
    def log(data: bytes) -> bool:
        with (tmp_path / "log").open("ab") as file:
            file.write(data)
        return True

    deadline = time.monotonic() + 60
    session(made(log), 1, range(40), deadline=deadline, folder=tmp_path)
    whole = (tmp_path / "log").read_bytes()[1:]
    (tmp_path / "log").unlink()
    session(made(log), 1, range(30, 40), deadline=deadline, folder=tmp_path)
    assert (tmp_path / "log").read_bytes()[1:] == whole[30:]


def test_an_exception_is_told_once_for_each_place_and_its_input_is_kept(tmp_path: Path) -> None:
    def check(data: bytes) -> bool:
        if data == b"\2":
            raise KeyError("two")
        return True

    cases, findings = told(check, tmp_path)
    assert cases == 40
    assert len(findings) == 1
    assert "KeyError" in findings[0]
    (kept,) = tmp_path.glob("*.bin")
    assert kept.read_bytes() == b"\2"


def test_what_a_thread_raises_is_told_too(tmp_path: Path) -> None:
    def check(data: bytes) -> bool:
        with ThreadPoolExecutor() as pool:
            return bool(list(pool.map({b"x": 0, b"\0": 1, b"\1": 2, b"\2": 3}.__getitem__, [data])))

    cases, findings = told(check, tmp_path)
    assert (cases, len(findings)) == (40, 1)
    assert "KeyError" in findings[0]


def test_a_crash_costs_its_input_alone(tmp_path: Path) -> None:
    def check(data: bytes) -> bool:
        if data == b"\2":
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    cases, findings = told(check, tmp_path)
    assert cases == 40 or len(findings) == sessions.MOST
    assert findings
    assert all("SIGKILL" in each for each in findings)
    assert {file.read_bytes() for file in tmp_path.glob("*.bin")} == {b"\2"}


def test_a_loop_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "HANG", 0.2)
    monkeypatch.setattr(sessions, "MOST", 1)

    def check(data: bytes) -> bool:
        while data == b"\2":
            pass
        return True

    _, findings = told(check, tmp_path)
    assert len(findings) == 1
    assert "of CPU time" in findings[0]


def test_memory_beyond_the_bound_is_told(tmp_path: Path) -> None:
    def check(data: bytes) -> bool:
        return len(b"\1" * (200 << 20 if data == b"\2" else 1)) > 0

    _, findings = told(check, tmp_path)
    assert len(findings) == 1
    assert "MB more memory" in findings[0]


def test_memory_beyond_the_bound_is_told_where_the_inputs_before_took_nearly_as_much(tmp_path: Path) -> None:
    taken = iter((1, 40, 50, 60, 90, *[1] * 40))

    def check(data: bytes) -> bool:
        return len(b"\1" * (next(taken) << 20)) > 0

    _, findings = told(check, tmp_path)
    assert [each.partition(" with ")[2] for each in findings] == ["made-1-3.bin"]


def test_room_that_is_given_back_while_inputs_are_at_work_hides_nothing(tmp_path: Path) -> None:
    room = [b"\1" * (60 << 20)]

    def check(data: bytes) -> bool:
        if data == b"\2":
            room.clear()
        return len(b"\1" * (90 << 20 if data == b"\2" else 1)) > 0

    _, findings = told(check, tmp_path)
    assert len(findings) == 1
    assert "MB more memory" in findings[0]
