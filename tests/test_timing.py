"""What a stage says about its time and its process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
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


_LOOP = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(flush=True)
while True: pass
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell who waits for a CPU")
def test_a_process_that_waits_for_a_cpu_is_busy_and_one_that_sleeps_is_not() -> None:
    with contextlib.ExitStack() as stack:
        loops = [_started(stack, _LOOP) for _ in range(3)]
        asleep = _started(stack, "import time; print(flush=True); time.sleep(60)")
        before, began = [timing.busy_seconds(each.pid) for each in (*loops, asleep)], time.monotonic()
        time.sleep(1.5)
        after, took = [timing.busy_seconds(each.pid) for each in (*loops, asleep)], time.monotonic() - began
    *busy, idle = (now - then for now, then in zip(after, before, strict=True))
    assert min(busy) > 0.6 * took, "three on one CPU compute a third of it each"
    assert idle < 0.3 * took
    assert timing.busy_seconds(loops[0].pid) == 0


def _started(stack: contextlib.ExitStack, script: str) -> subprocess.Popen[bytes]:
    started = stack.enter_context(subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE))
    stack.callback(started.kill)
    assert started.stdout is not None
    started.stdout.readline()
    return started


def test_a_clock_tells_stage_time_memory_and_worker() -> None:
    clock = StageClock("read")
    first, second = clock.timings(), clock.timings()
    assert 0 <= first.seconds["read"] <= second.seconds["read"] < 60
    assert first.peak_bytes["read"] > 1 << 20
    assert first.workers["read"].endswith(f":{os.getpid()}")
