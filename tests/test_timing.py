"""What a stage says about its time and its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import timing
from pipeline.timing import StageClock, peak_bytes

ROOT = Path(__file__).resolve().parent.parent
SIZE = 64 << 20


def test_memory_counts_and_stays_counted_when_it_is_given_back() -> None:
    before = peak_bytes()
    block = bytearray(os.urandom(1)) * (before + SIZE)
    grown = peak_bytes()
    del block
    assert grown >= before + SIZE
    assert peak_bytes() == pytest.approx(grown, rel=0.01)


_SHARED = """
import mmap, sys
from pipeline.timing import peak_bytes

before, size = peak_bytes(), int(sys.argv[1])
with mmap.mmap(-1, size) as shared:
    for place in range(0, size, mmap.PAGESIZE):
        shared[place] = 1
    print(peak_bytes() - before)
"""


def test_shared_memory_is_somebody_elses() -> None:
    command = [sys.executable, "-c", _SHARED, str(SIZE)]
    more = int(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert abs(more) < SIZE / 4


def test_elsewhere_than_on_linux_the_peak_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "PROCESSES", Path("/nowhere"))
    assert peak_bytes() > 1 << 20
    assert peak_bytes(os.getpid()) == 0


def test_memory_of_another_process_counts_while_it_is_there() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"block = b'x' * {SIZE}; print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        assert SIZE < peak_bytes(other.pid) < SIZE + (100 << 20)
        assert StageClock("features").timings(beside=SIZE).peak_bytes["features"] > SIZE
        other.kill()
    assert peak_bytes(other.pid) == 0


def test_a_clock_tells_stage_time_memory_and_worker() -> None:
    clock = StageClock("read")
    first, second = clock.timings(), clock.timings()
    assert 0 <= first.seconds["read"] <= second.seconds["read"] < 60
    assert first.peak_bytes["read"] > 1 << 20
    assert first.workers["read"].endswith(f":{os.getpid()}")
