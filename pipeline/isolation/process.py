"""Asks a process of its own for features, and says what became of it where it died over a file."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from pipeline import timing
from pipeline.corpus import Seconds
from pipeline.errors import ErrorRow, StorageFault
from pipeline.featurising import AudioFile, Buffer, Results
from pipeline.isolation import messages
from pipeline.quantities import show_seconds

TRIES = 2
"""A process may also be killed from outside: only a file over which two died, one after the other, is blamed."""

_AHEAD = 8
"""Files that are asked for at once, so that the process need not wait for the next."""
_FEW_CROPS = 100
"""Of a file that is asked for ahead: a long question would wait for its reader, who waits for his answer to be read."""

_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(128 << 20)}
"""Glibc (mallopt(3)) would give the arrays of each file back to the system, and fetching them again costs a third."""

_START: Seconds = 300.0
"""In which it must have begun: it loads libraries, which takes long where all the CPUs are busy."""

_END: Seconds = 10.0
"""In which a process that was killed, or has closed its ends, is gone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one audio file may take."""

    seconds: Seconds
    num_bytes: int
    """Of memory, beyond what the process has before."""


class Isolated:
    """Features from a process of its own, which is started anew when it dies; see `featurising.Featurise`.

    Of a file over which it dies twice every recording ends with an error of stage `decode`: type `crashed`; `timeout`
    for one that takes longer than its time, and `memory` for one that needs more than it may have.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._payload = _memory_file()
        self._size = 0
        self._child: _Child | None = None

    def start(self) -> None:
        """Start the process, but do not wait for it; else the first file does."""
        self._child = self._child or self._started()

    def close(self) -> None:
        """End the process."""
        self._end()
        self._payload.close()

    def __enter__(self) -> Self:
        """Start the process."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def __call__(self, payload: Buffer, files: Sequence[AudioFile], /) -> Iterator[Results]:
        """Results of each file, in order.

        Raises:
            StorageFault: what is to be read by seeking cannot be read now, or no process can be started.
        """
        self._hand_over(payload)
        number = asked = deaths = 0
        try:
            while number < len(files):
                try:
                    child = self._living()
                    while self._asks(files, asked, number):
                        asked += 1
                        child.ask(files[asked - 1], self._limits.seconds)
                    results = self._answer(child)
                except TimeoutError:
                    self._end()
                    asked = number + 1
                    results = files[number].failed(_overrun(self._limits.seconds))
                except (EOFError, ConnectionError):
                    how, asked, deaths = self._end(), number, deaths + 1
                    if deaths < TRIES:
                        continue
                    asked = number + 1
                    results = files[number].failed(_crashed(how))
                number, deaths = number + 1, 0
                yield results
        finally:
            if asked > number:
                # It would answer what nobody waits for any more.
                self._end()

    @property
    def peak_bytes(self) -> int:
        """Largest resident size that the process has had, without the unit's encoded bytes; 0 where none runs."""
        return timing.peak_bytes(self._child.process.pid) if self._child else 0

    def _asks(self, files: Sequence[AudioFile], asked: int, number: int) -> bool:
        """Whether to ask for another file while the answer about `number` is awaited."""
        if asked == number:
            return True
        return asked < min(len(files), number + _AHEAD) and len(files[asked].crops) <= _FEW_CROPS

    def _hand_over(self, payload: Buffer) -> None:
        """Write the unit's encoded bytes to where the process looks for them."""
        self._size = len(payload)
        self._payload.seek(0)
        self._payload.truncate(self._size)
        rest = memoryview(payload)
        while rest:
            rest = rest[self._payload.write(rest) :]
        if self._child is not None:
            self._child.knows = False

    def _living(self) -> _Child:
        self._child = child = self._child or self._started()
        if not child.knows:
            child.tell(self._size)
        return child

    def _started(self) -> _Child:
        return _Child.start(self._payload.fileno(), self._limits.num_bytes)

    def _answer(self, child: _Child) -> Results:
        message = child.answer(self._limits.seconds)
        if "fault" in message:
            raise StorageFault(message["fault"])
        return messages.read_results(child.told, message)

    def _end(self) -> str:
        """End the process; how it ended."""
        child, self._child = self._child, None
        return child.end() if child else ""


@dataclass(slots=True)
class _Child:
    """A process at work."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    asked: BinaryIO
    told: BinaryIO
    ready: bool = False
    """Whether it has begun."""
    knows: bool = False
    """Whether it has the bytes of this unit."""

    @classmethod
    def start(cls, payload: int, num_bytes: int) -> Self:
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = [str(each) for each in (theirs.fileno(), payload, num_bytes)]
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.isolation.child", *numbers],
                pass_fds=(theirs.fileno(), payload),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C is for who asks, who then ends this process.
                process_group=0,
                env={**os.environ, **_MALLOC, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)},
            )
        return cls(process, ours, cast(BinaryIO, ours.makefile("wb")), cast(BinaryIO, ours.makefile("rb")))

    def tell(self, size: int) -> None:
        """Say where the unit's bytes end; first wait until it has begun."""
        if not self.ready:
            self._await_begin()
        messages.write(self.asked, {"size": size})
        self.knows = True

    def _await_begin(self) -> None:
        try:
            self.channel.settimeout(_START)
            messages.read(self.told)
        except (EOFError, OSError) as error:
            raise StorageFault(f"the process that decodes does not start ({self.end() or error})") from error
        self.ready = True

    def ask(self, file: AudioFile, seconds: Seconds) -> None:
        """Ask for the features of a file."""
        messages.write(self.asked, {"file": messages.from_file(file), "seconds": seconds})
        self.asked.flush()

    def answer(self, seconds: Seconds) -> dict[str, Any]:
        """What it says next, the frames apart.

        Raises:
            TimeoutError: nothing, for so long.
            EOFError, ConnectionError: it is dead.
        """
        self.channel.settimeout(seconds)
        return messages.read(self.told)

    def end(self) -> str:
        """Kill it if it lives; how it ended, as its own doing where it was dead."""
        if self.process.poll() is None and not self._ends_by_itself():
            self.process.kill()
        code = self.process.wait()
        for each in (self.asked, self.told, self.channel):
            with contextlib.suppress(OSError):
                each.close()
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


def _overrun(seconds: Seconds) -> ErrorRow:
    return ErrorRow(
        "decode", "timeout", f"not decoded within {show_seconds(seconds)}; --recording-timeout gives it longer"
    )


def _crashed(how: str) -> ErrorRow:
    return ErrorRow("decode", "crashed", f"ended the process that decoded it, {TRIES} times (the last with {how})")


def _memory_file() -> BinaryIO:
    """A file without a name, in memory where the system has such."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("voxmill-payload", os.MFD_CLOEXEC), "w+b", buffering=0)
    return cast(BinaryIO, tempfile.TemporaryFile(buffering=0))
