"""Timing one stage of one unit, and describing the process that does it."""

from __future__ import annotations

import os
import resource
import socket
import time

from pipeline.receipts import Timings


def peak_bytes() -> int:
    """Largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class StageClock:
    """Runs from its making on."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._start = time.monotonic()

    def timings(self) -> Timings:
        """What the stage has taken so far."""
        stage = self._stage
        worker = f"{socket.gethostname()}:{os.getpid()}"
        return Timings({stage: time.monotonic() - self._start}, {stage: peak_bytes()}, {stage: worker})
