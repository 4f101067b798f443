"""Keeping the libraries' start-up noise off the screen: it goes to a log that is named when something fails."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rich.console import Console

from pipeline.unread import careless, forgiving

PLAIN_WIDTH = 120
"""Columns where the output is no terminal and nobody said COLUMNS."""
_PREFIX, _SUFFIX = "voxmill-", ".log"
_OLD = 7 * 24 * 3600.0
"""Seconds after which a log that nobody wrote to belongs to a run that was killed."""


@dataclass(frozen=True, slots=True)
class Aside:
    """What lies beside the console while noise is kept off it."""

    errors: Console
    """On the real standard error."""
    log: Path | None
    """Where the noise goes; None where it is shown, or there is no place for it."""


@contextmanager
def kept_off(*, show: bool) -> Generator[tuple[Console, Aside]]:
    """A console on the real standard output, while everything else that is printed goes to a log.

    The libraries print from C++ too, so the file descriptors themselves are turned away.

    Args:
        show: leave everything on the screen.
    """
    if show:
        yield console_on(sys.stdout), Aside(console_on(sys.stderr), None)
        return
    _remove_old()
    handle, place = _log()
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    try:
        with (
            _kept(sys.stdout, 1) as screen,
            _kept(sys.stderr, 2) as errors,
            os.fdopen(os.dup(handle), "w", encoding="utf-8", errors="replace", buffering=1) as opened,
            contextlib.redirect_stdout(log := careless(opened)),
            contextlib.redirect_stderr(log),
        ):
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            yield console_on(screen), Aside(console_on(errors), place)
    finally:
        # What is left in them would go to the log, whose disk may be full.
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        for number, descriptor in enumerate(saved, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(handle)


def _log() -> tuple[int, Path | None]:
    """A new file for the noise; nowhere, where none can be made."""
    try:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_SUFFIX)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY), None
    return handle, Path(name)


@contextmanager
def _kept(stream: TextIO, descriptor: int) -> Generator[TextIO]:
    """A way to what the stream shows now: a notebook's stream leads elsewhere than the process's descriptor."""
    try:
        own = stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError, io.UnsupportedOperation):
        own = False
    if not own:
        yield stream
        return
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8", errors="replace") as copy:
        yield copy


def console_on(stream: TextIO) -> Console:
    """A console that leaves names as they are, and lines whole where the stream is no terminal."""
    width = None
    if "COLUMNS" not in os.environ:
        width = _columns(stream) if stream.isatty() else PLAIN_WIDTH
    return Console(
        file=forgiving(stream),
        # Names are shown as they are: `s.tar::key:` holds an emoji of rich, `[bold]` a style of it.
        emoji=False,
        markup=False,
        highlight=False,
        # In a notebook rich would go past the stream, and redraw with codes that only a terminal obeys.
        force_jupyter=False,
        force_terminal=stream.isatty(),
        width=width,
    )


def _columns(stream: TextIO) -> int | None:
    """Width of a terminal that rich cannot ask, for descriptors 1 and 2 are the log's; None where it can."""
    if os.isatty(0):
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def removed(log: Path | None) -> None:
    """Forget the log of a run that went well."""
    if log is not None:
        with contextlib.suppress(FileNotFoundError):
            log.unlink()


def worth_naming(log: Path | None) -> Path | None:
    """The log of a run that did not go well; None where the libraries said nothing, and then it is removed."""
    if log is None or (log.exists() and log.stat().st_size):
        return log
    removed(log)
    return None


def _remove_old() -> None:
    """Remove the logs of this user's runs that were killed more than a week ago."""
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    mine = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
                    if mine and status.st_mtime < time.time() - _OLD:
                        os.unlink(entry.path)
