"""What some hostile files do to the process that decodes them; Python runs this at its start, where it is on the path.

A file that begins with `POISON:` and one of the words below does it.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path


def _crash(rest):
    ctypes.string_at(0)


def _loop(rest):
    while True:
        pass


def _sleep(rest):
    time.sleep(1000)


def _hoard(rest):
    kept = []
    while True:
        kept.append(bytearray(1 << 26))


def _hold(rest):
    """Memory that is not given ends many a C library."""
    try:
        _hoard(rest)
    except MemoryError:
        os.abort()


def _leave(rest):
    os._exit(3)


def _kill(rest):
    os.kill(os.getpid(), signal.SIGKILL)


def _once(rest):
    """Killed from outside, by chance over this file."""
    mark = Path(rest)
    if not mark.exists():
        mark.touch()
        _kill(rest)


KINDS = {
    "crash": _crash,
    "loop": _loop,
    "sleep": _sleep,
    "hoard": _hoard,
    "hold": _hold,
    "leave": _leave,
    "kill": _kill,
    "once": _once,
}


def _poison():
    from pipeline.audio import virtual

    opened = virtual.VirtualFile.__init__

    def open_hostile(self, audio):
        opened(self, audio)
        word, _, rest = self.peek(0, 1000).partition(b"\0")[0].decode(errors="replace").partition(":")
        if word == "POISON":
            kind, _, rest = rest.partition(":")
            KINDS[kind](rest)

    virtual.VirtualFile.__init__ = open_hostile


if "pipeline.isolation.child" in sys.orig_argv:
    _poison()
