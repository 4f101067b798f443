"""Temporary folders that go with their block, and with the next one where the process was killed in it.

Whether a folder's process lives is told by a lock that the system takes from it when it ends, so that neither a
number that another process has by now nor a process that nobody here can see is mistaken for it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.corpus import Seconds
from pipeline.errors import StorageFault

WEEK: Seconds = 7 * 24 * 3600.0
"""After which a folder without a lock, as earlier releases made them, is nobody's."""
_SETTLED: Seconds = 60.0
"""After which a folder has its lock, if its process ever got so far."""
_LOCK = "lock"


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder below the system's temporary one; those of the same prefix whose process was killed go first.

    Raises:
        StorageFault: there is no place where it can be made, or the block fills its disk.
    """
    folder = made(prefix, parent=None)
    try:
        with held(folder):
            yield folder
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _no_room(str(folder.parent), error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def made(prefix: str, *, parent: str | None, min_age: Seconds = _SETTLED) -> Path:
    """A new folder below `parent`, or the system's temporary folder; what killed processes left there goes first.

    Raises:
        StorageFault: it cannot be made.
    """
    try:
        parent = parent or tempfile.gettempdir()
        remove_left(parent, prefix, min_age=min_age)
        return Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    except OSError as error:
        raise _no_room(parent or "temporary files", error) from error


def _no_room(where: str, error: OSError) -> StorageFault:
    why = error.strerror or error
    return StorageFault(f"{where}: no place for temporary files ({why}); make room, or name another folder as TMPDIR")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Show that the process which a folder belongs to lives, as long as it does and the block runs.

    Raises:
        StorageFault: the folder takes no file.
    """
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(open(folder / _LOCK, "w"))
        except OSError as error:
            raise _no_room(str(folder.parent), error) from error
        # Where the file system has no locks, nobody removes anything either.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_left(parent: str, prefix: str, *, min_age: Seconds = _SETTLED) -> None:
    """Remove this user's folders whose process has ended, and which nobody has changed for so long."""
    for folder in Path(parent).glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            status = folder.stat(follow_symlinks=False)
            age = time.time() - status.st_mtime
            if status.st_uid == os.geteuid() and age > min_age and not _alive(folder, age):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(folder: Path, age: Seconds) -> bool:
    """Whether its process may live."""
    try:
        with open(folder / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return age < WEEK
    except OSError:
        return True
    return False
