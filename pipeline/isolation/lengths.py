"""How long audio is that would be cut but whose header does not say it: only its decoder tells, in a process apart."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from pipeline import timing
from pipeline.corpus import WHOLE_BYTES, WHOLE_SECONDS, Recording, Seconds
from pipeline.errors import StorageFault
from pipeline.isolation import messages
from pipeline.isolation.handle import START, Handle
from pipeline.isolation.process import AT_WORK, MARGIN, TRIES, Limits, memory_file
from pipeline.overdue import moved
from pipeline.quantities import show_seconds
from pipeline.sources import Group, Problem, Unchanged

AT_ONCE = 4
"""Processes; by judgement, for most of the time goes into waiting for storage."""
_AHEAD = 1000
"""Items that may wait behind a file that is measured."""

_Item = Group | Problem | Unchanged
_File = tuple[str, int]
"""Source and offset."""


class _KeptWaitingError(Exception):
    """A file was not there in time to be measured."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Lengths:
    """Measures what planning finds too long for its header's word, each in a process that is started for the first.

    A file over which two processes die, or one computes for longer than its time, keeps its estimate: so it is planned
    whole, and what is wrong with it is its own row's error. One that storage keeps a process waiting for is a problem:
    it is not planned, for with its estimate it would never be cut, and the next listing has it measured again.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._shared = memory_file()
        self._idle: list[Handle] = []
        self._asked: dict[_File, Handle] = {}

    def __enter__(self) -> Self:
        """Start nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        for child in (*self._idle, *self._asked.values()):
            child.end()
        self._shared.close()

    def exact(self, items: Iterable[_Item], /) -> Iterator[_Item]:
        """The same items in the same order, long recordings with their exact length where it can be had.

        Raises:
            StorageFault: a file cannot be read now, or no process can be started.
        """
        ahead: deque[tuple[_Item, dict[_File, Recording]]] = deque()
        for item in items:
            files = _unmeasured(item)
            for file in files.keys() - self._asked.keys():
                self._ask(file, files[file])
            ahead.append((item, files))
            while ahead and (not ahead[0][1] or len(self._asked) >= AT_ONCE or len(ahead) > _AHEAD):
                yield self._measured(*ahead.popleft())
        for item, files in ahead:
            yield self._measured(item, files)

    def _measured(self, item: _Item, files: dict[_File, Recording]) -> _Item:
        try:
            found = {file: self._hear(file, recording) for file, recording in files.items()}
        except _KeptWaitingError as error:
            for file in files.keys() & self._asked.keys():
                self._end(file)
            return error.problem
        if not isinstance(item, tuple) or not any(found.values()):
            return item
        return tuple(_with_length(each, found.get((each.source, each.offset))) for each in item)

    def _ask(self, file: _File, recording: Recording) -> None:
        child = self._idle.pop() if self._idle else Handle.start(
            "pipeline.isolation.child", self._shared.fileno(), self._limits.num_bytes
        )  # fmt: skip
        self._asked[file] = child
        order = {"length": messages.from_recording(recording), "seconds": self._limits.seconds + MARGIN}
        # One that is dead is found out when it is heard.
        with contextlib.suppress(OSError):
            child.ask(order)

    def _hear(self, file: _File, recording: Recording) -> tuple[Seconds, int] | None:
        """Length and rate in Hz; None where they are not to be had.

        Raises:
            StorageFault: as `exact`.
            _KeptWaitingError: storage did not give the file within its time.
        """
        for tries in range(TRIES):
            if file not in self._asked:
                self._ask(file, recording)
            child, spent = self._asked[file], 0.0
            try:
                child.await_begin()
                spent = timing.busy_seconds(child.process.pid)
                told = child.hear(self._limits.seconds)
                if "fault" in told:
                    raise StorageFault(str(told["fault"]))
                length = _checked(told)
            except TimeoutError:
                self._check_at_work(child, spent, recording)
                self._end(file)
                moved()
                return None
            except (EOFError, OSError, messages.Malformed) as error:
                how = self._end(file)
                moved()
                if tries + 1 == TRIES and not child.ready:
                    raise StorageFault(f"the process that measures long audio does not start ({how})") from error
            else:
                self._idle.append(self._asked.pop(file))
                moved()
                return length
        return None

    def _check_at_work(self, child: Handle, spent: Seconds, recording: Recording) -> None:
        """Tell a process that storage has kept waiting, which had been busy for `spent` before."""
        seconds = self._limits.seconds
        if not child.ready:
            raise StorageFault(f"the process that measures long audio does not start within {show_seconds(START)}")
        if spent and timing.busy_seconds(child.process.pid) - spent < AT_WORK * seconds:
            told = (
                f"not planned: storage did not let it be measured within {show_seconds(seconds)}. The next run does; "
                "--recording-timeout gives it longer"
            )
            # A tar of which the rest is planned would not be opened again.
            again = (recording.id.removesuffix(recording.member),) if recording.member else ()
            raise _KeptWaitingError(Problem(recording.source, told, again))

    def _end(self, file: _File) -> str:
        return self._asked.pop(file).end()


def _unmeasured(item: _Item) -> dict[_File, Recording]:
    """Files of which the length must be exact and is not."""
    if not isinstance(item, tuple):
        return {}
    return {(each.source, each.offset): each for each in item if _doubtful(each)}


def _doubtful(recording: Recording) -> bool:
    long = recording.start + recording.seconds > WHOLE_SECONDS or recording.size > WHOLE_BYTES
    return long and recording.seconds_from != "header" and not recording.streamed and not recording.missing


def _checked(told: dict[str, object]) -> tuple[Seconds, int] | None:
    """What a process tells, which a hostile file may have taken over.

    Raises:
        messages.Malformed: it is no length.
    """
    seconds, rate = told.get("seconds"), told.get("rate")
    if seconds is None:
        return None
    if not isinstance(seconds, float) or not isinstance(rate, int) or not (math.isfinite(seconds) and seconds >= 0):
        raise messages.Malformed(f"{seconds} s")
    return seconds, rate


def _with_length(recording: Recording, found: tuple[Seconds, int] | None) -> Recording:
    if found is None or not _doubtful(recording):
        return recording
    whole, rate = found
    end = whole if recording.end is None else min(recording.end, whole)
    seconds = max(end - recording.start, 0.0)
    return dataclasses.replace(recording, seconds=seconds, seconds_from="header", sample_rate=rate)
