"""Inputs of a door, one after the other in a process that may die; what it dies of, or loops over, is told."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import os
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.door import Door, Wrong, case

HANG = 10.0
"""Seconds of CPU time that one input may take."""
STILL = 120
"""Seconds of waiting that one input may take."""
CEILING = 6 << 30
"""Bytes of address space beyond what a process starts with, so that no input takes the machine."""
MOST = 25
"""Findings after which a door is left: they come from one or two faults."""

_STATE = struct.Struct("<qqq")
"""Number of the input at work, inputs done, inputs past the header."""


@dataclass(slots=True)
class Found:
    """What came of the inputs of a door."""

    cases: int = 0
    past: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)
    """What went wrong, each with the file that holds its input."""


def session(door: Door, seed: int, numbers: range, *, deadline: float, folder: Path) -> Found:
    """Put inputs of these numbers through a door, up to a moment of `time.monotonic`.

    Args:
        door: which one.
        seed: of the inputs.
        numbers: of the inputs.
        deadline: when to stop.
        folder: for the inputs that something is wrong with.
    """
    found, began = Found(), time.monotonic()
    first = numbers.start
    with mmap.mmap(-1, _STATE.size) as shared:
        while first < numbers.stop and time.monotonic() < deadline and len(found.findings) < MOST:
            shared[:] = _STATE.pack(first, 0, 0)
            told = folder / f"{door.name}.told"
            status = _await(_forked(door, seed, range(first, numbers.stop), deadline, shared, told))
            at, done, past = _STATE.unpack(shared[:])
            found.cases, found.past = found.cases + done, found.past + past
            found.findings += _read(told)
            if status == 0:
                break
            if status == 1:
                raise RuntimeError(f"{door.name}: the fuzzer itself failed, see above")
            found.findings.append(_blamed(door, seed, at, status, folder))
            found.cases += 1
            first = at + 1
    found.seconds = time.monotonic() - began
    return found


def _forked(door: Door, seed: int, numbers: range, deadline: float, shared: mmap.mmap, told: Path) -> int:
    """Start the process that does the work; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code, screen = 1, os.fdopen(os.dup(2), "w")
    try:
        # Threads that come and go with every input take longer than what they do.
        ThreadPoolExecutor.submit = _here  # type: ignore[method-assign]
        # Libraries in C talk about what they read.
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        code = _work(door, seed, numbers, deadline, shared, told)
    except BaseException:  # noqa: BLE001
        traceback.print_exc(file=screen)
        screen.flush()
    finally:
        os._exit(code)


def _here(_: ThreadPoolExecutor, work: Callable[..., Any], /, *args: Any, **more: Any) -> Future[Any]:
    """What a pool of threads gives, done at once."""
    done: Future[Any] = Future()
    try:
        done.set_result(work(*args, **more))
    except BaseException as error:  # noqa: BLE001
        done.set_exception(error)
    return done


def _work(door: Door, seed: int, numbers: range, deadline: float, shared: mmap.mmap, told: Path) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(CEILING)
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory_folder()))
    done = past = 0
    try:
        opened = door.open(scratch)
        # The first inputs fill caches and pools; what they take is not theirs.
        for data in opened.seeds:
            opened.check(data)
        # Nor is what was garbage in the process that this one is forked from: its room would hide as much of theirs.
        _tidy()
        gc.freeze()
        _forget_peak()
        (_, least), told_of = _held(), set()
        for number in numbers:
            if done % 16 == 0 and time.monotonic() > deadline:
                break
            data = case(opened, door.name, seed, number)
            shared[:] = _STATE.pack(number, done, past)
            signal.setitimer(signal.ITIMER_PROF, HANG)
            signal.alarm(STILL)
            try:
                past += opened.check(data)
            except Exception as error:  # noqa: BLE001
                where = _place(error)
                if where not in told_of:
                    told_of.add(where)
                    kept = _keep(told.parent, door.name, seed, number, data)
                    _tell(told, f"{door.name}: {where} with {kept}: {type(error).__name__}: {str(error)[:300]}")
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            done += 1
            peak, now = _held()
            # What is given back late, of before the inputs, was never theirs.
            least = min(least, now)
            if peak - least > door.memory and "memory" not in told_of:
                told_of.add("memory")
                kept = _keep(told.parent, door.name, seed, number, data)
                _tell(told, f"{door.name}: {(peak - least) >> 20} MB more memory with {kept}")
            # Nor is what the allocator keeps of an input the next one's.
            if done % 512 == 0 or now - least > door.memory // 4:
                _tidy()
            _forget_peak()
        shared[:] = _STATE.pack(numbers.stop, done, past)
        return 0
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def memory_folder() -> str | None:
    """A folder in memory where the system has one, for files that live for a millisecond."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _await(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _blamed(door: Door, seed: int, number: int, status: int, folder: Path) -> str:
    """What the process died of, with its input made once more, in a process too: seeds may not be at hand here."""
    scratch = Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory_folder()))
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            _keep(folder, door.name, seed, number, case(door.open(scratch), door.name, seed, number))
        os._exit(0)
    _await(child)
    shutil.rmtree(scratch, ignore_errors=True)
    ends = {-signal.SIGPROF: f"more than {HANG:g} s of CPU time", -signal.SIGALRM: f"no end within {STILL} s"}
    how = ends.get(status) or (signal.Signals(-status).name if status < 0 else f"exit code {status}")
    return f"{door.name}: {how} with {_name(door.name, seed, number)}"


def _limit(more: int) -> None:
    """Let this process have so much more address space than now, where the system tells what it has."""
    with contextlib.suppress(OSError, ValueError):
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _tidy() -> None:
    """Give back to the system what nothing holds any more, where the C library can."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _held() -> tuple[int, int]:
    """Bytes that this process held at most since the peak was forgotten, and that it holds now.

    Both are its peak since the start where the system tells no more.
    """
    with contextlib.suppress(OSError):
        told = Path("/proc/self/status").read_text()
        peak, now = (int(told.partition(name)[2].split(maxsplit=1)[0]) << 10 for name in ("VmHWM:", "VmRSS:"))
        return peak, now
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return peak, peak


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _place(error: BaseException) -> str:
    """Where an error was raised, in the package where it came through it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/pipeline/" in frame.filename] or frames
    what = re.sub(r"[0-9]+", "0", str(error))[:40] if isinstance(error, Wrong) else ""
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {type(error).__name__} {what}".strip()


def _name(door: str, seed: int, number: int) -> str:
    return f"{door}-{seed}-{number}.bin"


def _keep(folder: Path, door: str, seed: int, number: int, data: bytes) -> str:
    (folder / _name(door, seed, number)).write_bytes(data)
    return _name(door, seed, number)


def _tell(told: Path, line: str) -> None:
    with told.open("a", encoding="utf-8") as file:
        file.write(" ".join(line.split()) + "\n")


def _read(told: Path) -> list[str]:
    lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
    told.unlink(missing_ok=True)
    return lines
