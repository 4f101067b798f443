"""Signals that come while a command loads its libraries, which takes a second: they end it as any later one does."""

from __future__ import annotations

import os
import signal
from types import FrameType

_PARTIAL = 4
"""Exit code `summary.PARTIAL`, without what that module loads."""


def heed_signals() -> None:
    """End this process with words and code 4 on SIGTERM and Ctrl-C, until the command itself heeds them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    told = f"stopped by {name}: what is committed stays, the same command goes on from there\n"
    os.write(2, told.encode())
    os._exit(_PARTIAL)
