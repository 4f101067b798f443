"""What can go wrong, and whose fault it is.

    VoxmillError
    +-- UserError        a mistake that the user can mend: one line, exit code 2, never a traceback
    +-- StorageFault     storage or network failed after retries: the unit stays pending
    +-- RecordingError   one recording is at fault: it becomes a row with an error

Everything else is a bug and stays a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["read", "decode", "features", "model"]

REASONS = frozenset(
    f"{stage}.{type}"
    for stage, types in {
        "read": ("missing", "unreadable", "changed", "truncated", "too_large"),
        "decode": ("decode", "empty", "too_long", "crashed", "timeout", "memory"),
        "features": ("internal",),
        "model": ("not_finite", "crashed", "timeout", "memory"),
    }.items()
    for type in types
)
"""Every `stage.type` that a row's error can have."""


class VoxmillError(Exception):
    """Root of every exception that this package raises on purpose."""


class UserError(VoxmillError):
    """The user can mend this; the message says what must hold, what was given, and the remedy.

    Args:
        message: becomes one line, whatever names it quotes: those of files may hold line breaks.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.replace("\r", "\\r").replace("\n", "\\n"))


class StorageFault(VoxmillError):
    """Storage, network or machine failed for longer than the retries; never blamed on a recording."""

    answer: tuple[str, int] = ("", 0)
    """Code and HTTP status, where it was an answer of a store."""
    broken: bool = False
    """Whether a connection broke, was refused or was late, which the next one need not be."""


class RecordingError(VoxmillError):
    """One recording cannot be processed; it ends as a row with this error.

    Args:
        stage: where it failed.
        type: a stable lower-case reason code such as `decode`, `empty`, `truncated`, `changed`, `missing`.
        message: one sentence that names the cause.
    """

    def __init__(self, stage: Stage, type: str, message: str) -> None:
        super().__init__(message)
        self.error = ErrorRow(stage, type, message)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """The `error` column of a recording that failed."""

    stage: Stage
    type: str
    message: str
