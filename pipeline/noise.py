"""Keeping the libraries' start-up noise off the screen: it goes to a log that is named when something fails."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

PLAIN_WIDTH = 120
"""Columns where the output is no terminal and nobody said COLUMNS."""


@contextmanager
def kept_off(*, show: bool) -> Generator[tuple[Console, Path | None]]:
    """A console on the real standard output, while everything else that is printed goes to a log.

    The libraries print from C++ too, so the file descriptors themselves are turned away.

    Args:
        show: leave everything on the screen.
    """
    if show:
        yield console_on(sys.stdout), None
        return
    handle, name = tempfile.mkstemp(prefix="voxmill-", suffix=".log")
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    try:
        with (
            os.fdopen(os.dup(saved[0]), "w", encoding="utf-8", errors="replace") as screen,
            os.fdopen(os.dup(handle), "w", encoding="utf-8", errors="replace", buffering=1) as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            yield console_on(screen), Path(name)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in enumerate(saved, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(handle)


def console_on(stream: TextIO) -> Console:
    """A console that leaves lines whole where the stream is no terminal."""
    console = Console(file=stream, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(file=stream, highlight=False, width=PLAIN_WIDTH)
    return console


def removed(log: Path | None) -> None:
    """Forget the log of a run that went well."""
    if log is not None:
        with contextlib.suppress(FileNotFoundError):
            log.unlink()
