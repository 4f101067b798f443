"""Timing one stage of one unit, and describing the process that does it."""

from __future__ import annotations

import os
import re
import resource
import socket
import time
from pathlib import Path

from pipeline.receipts import Timings

PROCESSES = Path("/proc")


def peak_bytes(process: int | None = None) -> int:
    """Largest resident size that a process has had, without the shared memory that it looks at now.

    The object store is there once for a whole machine, but its pages count as resident in every process that has
    ever touched them: in a long run each worker would seem to grow until it held all of the store.

    Args:
        process: number of another process; of one that is gone, or where the system does not tell, it is 0.
    """
    try:
        status = (PROCESSES / str(process or "self") / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    sizes = dict(re.findall(r"^(VmHWM|RssShmem):\s+(\d+) kB", status, re.MULTILINE))
    if "VmHWM" not in sizes:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if process is None else 0
    return max(0, int(sizes["VmHWM"]) - int(sizes.get("RssShmem", 0))) * 1024


def busy_seconds(process: int) -> float:
    """What another process has computed so far, and how long it waited for a CPU to do so, not for anything else.

    Of one that is gone, or where the system does not tell, it is 0.
    """
    place = PROCESSES / str(process)
    try:
        fields = (place / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        computed = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
    # Of its first thread, which is the one that decodes; not every system counts it.
    try:
        return computed + int((place / "schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return computed


class StageClock:
    """Runs from its making on."""

    def __init__(self, stage: str, *, attempt: int = 1) -> None:
        self._stage = stage
        self._attempt = attempt
        self._start = time.monotonic()

    def timings(self, *, beside: int = 0) -> Timings:
        """What the stage has taken so far, with the bytes of a process beside this one that works for it."""
        stage = self._stage
        worker = f"{socket.gethostname()}:{os.getpid()}"
        return Timings(
            seconds={stage: time.monotonic() - self._start},
            peak_bytes={stage: peak_bytes() + beside},
            workers={stage: worker},
            attempts={stage: self._attempt},
        )
