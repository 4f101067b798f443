"""A signal that comes before a command heeds it itself: code 4, and words, whatever is being loaded."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.corpora import ROOT

KILLED = """
import os, signal
# Who starts tests in the background hands on that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
{heeded}
os.kill(os.getpid(), {number})
"""


def ended(heeded: str, number: int) -> subprocess.CompletedProcess[str]:
    program = KILLED.format(heeded=heeded, number=number)
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_4_and_words(number: signal.Signals) -> None:
    done = ended("from pipeline.early import heed_signals; heed_signals()", number)
    told = f"stopped by {number.name}: what is committed stays, the same command goes on from there\n"
    assert (done.returncode, done.stderr, done.stdout) == (4, told, "")


def test_who_ignores_ctrl_c_goes_on_doing_so() -> None:
    ignored = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    assert ended(f"{ignored}; from pipeline.early import heed_signals; heed_signals()", signal.SIGINT).returncode == 0


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.py")), ids=lambda job: job.name)
def test_every_job_heeds_signals_before_it_loads_anything(job: Path) -> None:
    lines = [line.strip() for line in job.read_text().splitlines() if "pipeline" in line or "heed" in line]
    first = [line for line in lines if not line.startswith(('"""', "#"))][:2]
    assert first == ["from pipeline.early import heed_signals", "heed_signals()"]


def test_nothing_is_loaded_for_it() -> None:
    script = "import sys, pipeline.early; print(*sorted(name for name in sys.modules if name.startswith('pipeline')))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pipeline", "pipeline.early"]
