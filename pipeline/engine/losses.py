"""Why Ray gives units not back: it leaves them out, and says so only in its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import ObjectStoreFullError, OutOfDiskError, RayError, RayTaskError

DIED = "its worker died whenever it was tried, most likely because the machine ran out of memory"
"""What a run says of a unit that no stage gave back."""
FULL = (
    "Ray's object store is full and so is the disk that it spills to: make room there (a local Ray's folder is below "
    "the one for temporary files), or give Ray another"
)

_LOGGER = "ray.data._internal.execution.streaming_executor_state"


class Losses(logging.Handler):
    """Notes whether Ray left a unit out because it had no room for it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.full = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look at what Ray logs."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RayTaskError):
            error = error.cause
        self.full |= isinstance(error, OutOfDiskError | ObjectStoreFullError)
        # A worker that could not store its result tells that as text.
        self.full |= isinstance(error, RayError) and "OutOfDiskError" in str(error)

    @property
    def reason(self) -> str:
        """Why units are missing."""
        return FULL if self.full else DIED


@contextmanager
def noted() -> Iterator[Losses]:
    """Listen to Ray while the block runs."""
    losses, logger = Losses(), logging.getLogger(_LOGGER)
    logger.addHandler(losses)
    try:
        yield losses
    finally:
        logger.removeHandler(losses)
