"""The exit code is that of the work, whatever other threads are at."""

from __future__ import annotations

import subprocess
import sys

import pytest

_LEAVES = """
import atexit, sys
from pipeline.leaving import leave

class Late:
    def __del__(self):
        print("taken down", flush=True)

kept = Late()
atexit.register(lambda: print("registered"))
{before}
print("said")
leave({code})
"""


@pytest.mark.parametrize("code", [0, 2, 4])
def test_what_was_said_and_registered_is_done_and_nothing_is_taken_down(code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES.format(before="", code=code)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "said\nregistered\n", "")


def test_a_stream_that_nobody_reads_any_more_does_not_change_the_code() -> None:
    before = """
class Unread:
    def write(self, text): return len(text)
    def flush(self): raise BrokenPipeError
sys.stdout = Unread()"""
    done = subprocess.run(
        [sys.executable, "-c", _LEAVES.format(before=before, code=3)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3
