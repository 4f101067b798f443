"""Where a local Ray has its sockets and logs: a folder that goes with the run, or is kept for one that failed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.scratch import WEEK, held, made

_PREFIX = "voxmill-ray-"
_LONGEST_PATH = 107
"""Bytes that the name of a socket may have."""
_LONGEST_BELOW = len("/voxmill-ray-12345678/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store.9")
_REMOVALS = 20
"""Looks, a tenth of a second apart, at whether processes that are ending have written something new."""


@dataclass
class Scratch:
    """The folder of one run; None where Ray chooses, or the Ray is not this run's own."""

    folder: Path | None = None
    kept: bool = False

    def keep(self) -> Path | None:
        """Do not remove the folder; where its logs are."""
        self.kept = True
        return self.folder and self.folder / "session_latest/logs"


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A folder that goes with the block, unless somebody keeps it.

    Raises:
        StorageFault: it cannot be made.
    """
    parent = _parent()
    if parent is None:
        yield Scratch()
        return
    folder = made(_PREFIX, parent=parent, min_age=WEEK)
    own = Scratch(folder)
    try:
        with held(folder):
            yield own
    finally:
        if not own.kept:
            _remove(folder)


def _parent() -> str | None:
    """Where temporary files go, if sockets may have names as long as they would have there."""
    for parent in (os.environ.get("RAY_TMPDIR") or tempfile.gettempdir(), "/tmp"):
        if len(os.fsencode(parent)) + _LONGEST_BELOW <= _LONGEST_PATH and os.access(parent, os.W_OK):
            return parent
    return None


def _remove(folder: Path) -> None:
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
