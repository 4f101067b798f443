"""A process apart, as the one that asks it sees it: start it, ask it, hear its answers, end it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, BinaryIO, Self, cast

from pipeline.corpus import Seconds
from pipeline.errors import StorageFault
from pipeline.isolation import messages

START: Seconds = 300.0
"""In which it must have begun: it loads libraries, which takes long where all the CPUs are busy."""
_END: Seconds = 10.0
"""In which a process that was killed, or has closed its ends, is gone; one that hangs in the system is left behind."""
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
"""Glibc (mallopt(3)) would give the arrays of each file back to the system, and fetching them again costs a third."""


@dataclass(slots=True)
class Handle:
    """A process at work."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    asked: BinaryIO
    told: BinaryIO
    ready: bool = False
    """Whether it has begun."""

    @classmethod
    def start(cls, module: str, shared: int, num_bytes: int) -> Self:
        """Start one, but do not wait for it.

        Args:
            module: that it runs.
            shared: number of the file in which it finds its work; above 2.
            num_bytes: a number that it is told: of the memory that it may take, or of that file.

        Raises:
            StorageFault: the system gives no process.
        """
        try:
            ours, theirs = socket.socketpair()
            # What closed standard streams leave free would be covered by those of the process.
            number = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
            theirs.close()
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", module, *map(str, (number, shared, num_bytes))],
                    pass_fds=(number, shared),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    # Ctrl-C is for who asks, who then ends this process.
                    process_group=0,
                    env={**os.environ, **_MALLOC, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
                )
            except OSError:
                ours.close()
                raise
            finally:
                os.close(number)
        except OSError as error:
            raise StorageFault(f"the process {module} does not start ({error})") from error
        return cls(process, ours, cast(BinaryIO, ours.makefile("wb")), cast(BinaryIO, ours.makefile("rb")))

    def await_begin(self) -> None:
        """Wait until it has begun.

        Raises:
            EOFError, OSError, messages.Malformed: it does not.
        """
        if not self.ready:
            self.channel.settimeout(START)
            messages.receive(self.told)
            self.ready = True

    def ask(self, order: dict[str, Any]) -> None:
        """Give it work; a short message, which fits between the two whatever it does.

        Raises:
            OSError: it is dead.
        """
        self.channel.settimeout(START)
        messages.send(self.asked, order)
        self.asked.flush()

    def hear(self, seconds: Seconds) -> dict[str, Any]:
        """What it says next, the frames apart.

        Raises:
            TimeoutError: nothing, for so long.
            EOFError, OSError: it is dead; all that it has said was heard before.
            messages.Malformed: nonsense.
        """
        self.channel.settimeout(seconds)
        return messages.receive(self.told)

    def end(self) -> str:
        """Kill it if it lives; how it ended, as its own doing where it was dead."""
        if self.process.poll() is None and not self._ends_by_itself():
            self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END)
        for each in (self.asked, self.told, self.channel):
            with contextlib.suppress(OSError):
                each.close()
        code = self.process.returncode
        if code is None:
            return "no end"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def _ends_by_itself(self) -> bool:
        """Whether its ends are closed, for then it is about to be gone."""
        try:
            self.channel.settimeout(0)
            if self.channel.recv(1, socket.MSG_PEEK):
                return False
            self.process.wait(_END)
        except (OSError, subprocess.TimeoutExpired):
            return self.process.poll() is not None
        return True
