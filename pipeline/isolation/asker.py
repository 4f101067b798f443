"""A process apart ends with the one that asks it, even in a library that hangs and lets no other thread run."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys

_PARENT_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def end_with_asker(channel: socket.socket) -> None:
    """Have the system kill this process once the thread that started it is gone; on Linux, elsewhere nothing does.

    Args:
        channel: to that thread, which must also be the one that hears it, and has written nothing.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal.SIGKILL))
    # One that was gone before sends no signal any more, but its end was closed before that.
    with contextlib.suppress(BlockingIOError):
        if not channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            os._exit(1)
