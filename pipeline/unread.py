"""Output whose reader goes away, as `head` does after ten lines, or a log that is full: the rest is said to nobody.

The work goes on and ends with its own exit code, for what it does is not what it says.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


@contextmanager
def may_go_unread() -> Iterator[None]:
    """Let both standard streams lose their readers while a command runs; also a decorator of its `main`."""
    out, errors = forgiving(sys.stdout), forgiving(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            yield
        finally:
            # Else the interpreter does it at its end, and complains.
            out.flush()
            errors.flush()


def forgiving(stream: TextIO) -> TextIO:
    """The stream, but that nothing is raised where its reader is gone."""
    return stream if isinstance(stream, _Forgiving) else cast(TextIO, _Forgiving(stream, BrokenPipeError))


def careless(stream: TextIO) -> TextIO:
    """The stream, but that nothing is raised whatever the system answers: a log, whose disk may be full."""
    return cast(TextIO, _Forgiving(stream, OSError))


class _Forgiving:
    def __init__(self, stream: TextIO, forgiven: type[OSError]) -> None:
        self._stream = stream
        self._forgiven = forgiven

    def write(self, text: str) -> int:
        """As of any text stream."""
        try:
            return self._stream.write(text)
        except self._forgiven:
            self._say_to_nobody()
            return len(text)

    def flush(self) -> None:
        """As of any text stream."""
        try:
            self._stream.flush()
        except self._forgiven:
            self._say_to_nobody()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _say_to_nobody(self) -> None:
        # The descriptor itself is turned away, for what the stream has buffered is written at the interpreter's end.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
