"""Features from a process of its own, and who is to blame where it died: the first file that it has not answered."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from pipeline import timing
from pipeline.corpus import Seconds
from pipeline.errors import ErrorRow, StorageFault
from pipeline.featurising import AudioFile, Buffer, Results
from pipeline.isolation import messages
from pipeline.isolation.handle import Handle
from pipeline.quantities import show_seconds

TRIES = 2
"""A process may also be killed from outside: only a file over which two died, one after the other, is blamed."""

PAUSE: Seconds = 5.0
"""Before a file is tried again whose process was killed: a system that lacks memory kills the largest, which need not
be the one that asked for too much. By judgement."""

MARGIN: Seconds = 10.0
"""Beyond a file's time, after which the process ends itself where nobody else does."""

AT_WORK = 0.5
"""Share of its time that a process must have been busy to be late by itself, where it also waits for storage."""


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

    The process is told all files of a unit at once and answers one after the other, so that it never waits for a
    question, and nobody waits for it to take one.
    """

    def __init__(self, limits: Limits) -> None:
        self._shared = memory_file()
        self._limits = limits
        self._child: Handle | None = None

    def start(self) -> None:
        """Start the process, but do not wait for it; what fails now is tried again for the first file."""
        with contextlib.suppress(StorageFault):
            self._child = self._child or self._started()

    def close(self) -> None:
        """End the process."""
        self._end()
        self._shared.close()

    def __del__(self) -> None:
        """End it with who asks."""
        if not self._shared.closed:
            self.close()

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
        number = deaths = 0
        try:
            order = self._written(payload, files)
            asked = False
            while number < len(files):
                if not asked:
                    asked = self._ask(order | {"first": number})
                results = self._results(files[number]) if asked else None
                if results is None:
                    how, asked, deaths = self._end(), False, deaths + 1
                    if how != LATE and deaths < TRIES:
                        time.sleep(PAUSE if how == _KILLED else 0)
                        continue
                    results = files[number].failed(self._blame(how))
                elif self._child is None:
                    asked = False
                number, deaths = number + 1, 0
                yield results
        finally:
            if number < len(files):
                # It would answer what nobody waits for any more.
                self._end()
            if not self._shared.closed:
                self._shared.truncate(0)

    @property
    def peak_bytes(self) -> int:
        """Largest resident size that the process has had, with the unit's encoded bytes; 0 where none runs."""
        return timing.peak_bytes(self._child.process.pid) if self._child else 0

    def _written(self, payload: Buffer, files: Sequence[AudioFile]) -> dict[str, float]:
        """Put the unit's bytes and its files where the process looks for them; what to tell it."""
        listed = messages.encode_files(files)
        try:
            self._shared.seek(0)
            for data in (payload, listed):
                rest = memoryview(data)
                while rest:
                    rest = rest[self._shared.write(rest) :]
        except OSError as error:
            raise StorageFault(f"no room to hand a unit over to the process that decodes ({error})") from error
        return {"payload": len(payload), "files": len(listed), "seconds": self._limits.seconds + MARGIN}

    def _ask(self, order: dict[str, float]) -> bool:
        """Have a process begin with a file; False where it died before it heard of it.

        Raises:
            StorageFault: none begins.
        """
        for tries in range(TRIES):
            self._child = child = self._child or self._started()
            try:
                child.await_begin()
            except (EOFError, OSError, messages.Malformed) as error:
                how = self._end()
                if tries + 1 == TRIES:
                    raise StorageFault(f"the process that decodes does not start ({how})") from error
            else:
                break
        try:
            child.ask(order)
        except OSError:
            return False
        return True

    def _started(self) -> Handle:
        return Handle.start("pipeline.isolation.child", self._shared.fileno(), self._limits.num_bytes)

    def _results(self, file: AudioFile) -> Results | None:
        """What the process answers about the file that it is at work on; None where it died, or talks nonsense."""
        child, seconds = self._child, self._limits.seconds
        assert child is not None
        spent = timing.busy_seconds(child.process.pid)
        try:
            message = child.hear(seconds)
            if "fault" in message:
                raise StorageFault(str(message["fault"]))
            return messages.receive_results(child.told, message, count=len(file.crops), most=self._limits.num_bytes)
        except TimeoutError:
            if file.place is None and timing.busy_seconds(child.process.pid) - spent < AT_WORK * seconds:
                name = file.first.source if file.first else "a file"
                raise StorageFault(f"{name}: could not be read within {show_seconds(seconds)}") from None
            self._end()
            return file.failed(_overrun(seconds))
        except (EOFError, OSError, messages.Malformed):
            return None

    def _blame(self, how: str) -> ErrorRow:
        return _overrun(self._limits.seconds) if how == LATE else _crashed(how)

    def _end(self) -> str:
        """End the process; how it ended."""
        child, self._child = self._child, None
        return child.end() if child else ""


LATE = "SIGALRM"
"""How a process ends itself where nobody does it when a file's time is over."""
_KILLED = "SIGKILL"
"""How the system ends a process for want of memory; no decoder ends so by itself."""


def _overrun(seconds: Seconds) -> ErrorRow:
    return ErrorRow(
        "decode", "timeout", f"not decoded within {show_seconds(seconds)}; --recording-timeout gives it longer"
    )


def _crashed(how: str) -> ErrorRow:
    told = f"ended the process that decoded it, {TRIES} times (the last with {how})"
    if how == _KILLED:
        told = (
            f"the process that decoded it was killed (SIGKILL), probably for want of memory, {TRIES} times; "
            "fewer --feature-actors leave it more"
        )
    return ErrorRow("decode", "crashed", told)


def memory_file() -> BinaryIO:
    """A file without a name, in memory where the system has such; its number is above those of standard streams."""
    if hasattr(os, "memfd_create"):
        first = os.memfd_create("voxmill-unit", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            first = os.dup(file.fileno())
    try:
        return os.fdopen(fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 3), "w+b", buffering=0)
    finally:
        os.close(first)
