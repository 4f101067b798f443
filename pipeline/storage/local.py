"""Listing and looking at local files."""

from __future__ import annotations

import errno
import os
import stat as modes

from pipeline.errors import UserError
from pipeline.overdue import moved
from pipeline.storage.entry import SPECIAL, Entry, Folder, of_status

_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def list_folder(folder: Folder) -> list[Entry | Folder]:
    """List what is in a folder, in the order of full paths, without hidden names and loops."""
    here = os.stat(folder.path)
    above = (*folder.above, (here.st_dev, here.st_ino))
    found: list[tuple[str, Entry | Folder]] = []
    with os.scandir(folder.path) as names:
        for name in names:
            if name.name.startswith("."):
                continue
            kind = _status(name)
            if kind is None:
                if name.is_symlink():
                    found.append((name.name, Entry("file://" + name.path, 0, "0-missing")))
            elif modes.S_ISREG(kind.st_mode):
                found.append((name.name, of_status(name.path, kind)))
            elif modes.S_ISDIR(kind.st_mode) and (kind.st_dev, kind.st_ino) not in above:
                found.append((name.name + "/", Folder(name.path, above)))
            elif not modes.S_ISDIR(kind.st_mode):
                found.append((name.name, Entry("file://" + name.path, 0, SPECIAL)))
    found.sort(key=lambda item: item[0])
    return [item for _, item in found]


def entry(path: str) -> Entry:
    """Look at one file.

    Raises:
        IsADirectoryError: it is a folder.
        UserError: it is neither file nor folder.
        OSError: as it comes.
    """
    status = os.stat(path)
    if modes.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not modes.S_ISREG(status.st_mode):
        raise UserError(f"file://{path}: neither a file nor a folder")
    return of_status(path, status)


def sizes(path: str) -> dict[str, int]:
    """List the names in a folder with their bytes; folders end with "/", they and links to nothing have 0."""
    with os.scandir(path) as found:
        return dict(_sized(name) for name in found)


def holds_anything(path: str) -> bool:
    """Whether there is a folder that may be looked into, and a name in it."""
    try:
        with os.scandir(path) as found:
            return next(found, None) is not None
    except OSError:
        return False


def _status(name: os.DirEntry[str]) -> os.stat_result | None:
    """Give what a name leads to; None where it leads nowhere, in circles, or went away just now."""
    # On a network a folder of millions takes long.
    moved()
    try:
        return name.stat()
    except OSError as error:
        if error.errno in _NOWHERE:
            return None
        raise


def _sized(name: os.DirEntry[str]) -> tuple[str, int]:
    status = _status(name)
    if status is not None and modes.S_ISDIR(status.st_mode):
        return name.name + "/", 0
    return name.name, 0 if status is None else status.st_size
