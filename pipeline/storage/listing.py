"""What is in a folder: recursive listing in one fixed order, single names, single entries."""

from __future__ import annotations

import errno
import functools
import os
import stat as modes
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.errors import UserError
from pipeline.storage import s3
from pipeline.storage.paths import filesystem, is_local, is_s3, local_path, redact, uri_of
from pipeline.storage.retry import attempt, denied

LOOK_AHEAD = 16
"""Folders listed at once, ahead of the reader, on every level of a tree."""

_VERSION_FIELDS = (
    "ETag",
    "etag",
    "md5Hash",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "created",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or object, as a listing shows it."""

    uri: str
    size: int
    version: str
    """Tells content from other content: `123-"etag"` from a store, `123-mtime_ns` on a local disk."""


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    above: tuple[tuple[int, int], ...] = ()
    """Device and inode of the folders above it: a link to one of them would never end."""


def walk(uri: str, *, on_progress: Callable[[int], None] | None = None) -> Iterator[Entry]:
    """List every file below a folder, or the file itself, sorted by full path.

    Hidden files and folders (a leading dot) and what is neither file nor folder are left out; links are
    followed, loops are not. A local link to nothing is listed with size 0, so that it can end as a missing
    recording.

    Args:
        uri: a folder, or one file.
        on_progress: called a few times a second with the number of entries so far.

    Raises:
        UserError: nothing is there, or access is denied to any part of it.
        StorageFault: the listing broke off; nothing may be concluded from what came before.
    """
    count, spoke = 0, time.monotonic()
    for entry in _listing(uri):
        count += 1
        if on_progress and count % 64 == 0 and time.monotonic() - spoke > 0.2:
            on_progress(count)
            spoke = time.monotonic()
        yield entry
    if on_progress:
        on_progress(count)


def stat(uri: str) -> Entry:
    """Look at one file.

    Raises:
        FileNotFoundError: there is none.
        IsADirectoryError: it is a folder.
        PermissionError: it may not be looked at.
        StorageFault, UserError: see `retry.attempt`.
    """
    if is_local(uri):
        return attempt(uri, "looking", lambda: _local_entry(local_path(uri)))
    fs, path = filesystem(uri)
    try:
        info = attempt(uri, "looking", lambda: fs.info(path))
    except PermissionError:
        # A HEAD has no body to tell a closed object from expired credentials, which concern everything.
        attempt(uri, "looking", lambda: fs.cat_file(path, start=0, end=1))
        raise
    if info["type"] == "directory":
        raise IsADirectoryError(uri)
    return _entry(fs, info)


def list_names(uri: str) -> list[str]:
    """List the names directly inside a folder, sorted; folders end with "/"; [] where it does not exist.

    Hidden names are included. Large folders of an object store are listed in parallel by first character.

    Raises:
        UserError: access is denied, or the bucket is missing.
        StorageFault: the listing broke off.
    """
    if is_local(uri):
        return attempt(uri, "listing", lambda: _local_names(uri))
    fs, path = filesystem(uri)
    try:
        if is_s3(fs):
            return s3.names(fs, path)
        infos = attempt(uri, "listing", lambda: fs.ls(path, detail=True))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error
    return sorted(_base(i["name"]) + ("/" if i["type"] == "directory" else "") for i in infos if _base(i["name"]))


def children(uri: str) -> tuple[list[str], list[Entry]]:
    """List one folder: the URIs of the folders in it and its files, sorted, without hidden ones; none if it is none.

    Raises:
        UserError, StorageFault: as `walk`.
    """
    fs, path = filesystem(uri)
    try:
        items = _list_folder(fs, _Folder(path))
    except NotADirectoryError:
        items = []
    folders = [uri_of(fs, item.path) for item in items if isinstance(item, _Folder)]
    return folders, [item for item in items if isinstance(item, Entry)]


def _listing(uri: str) -> Iterator[Entry]:
    fs, path = filesystem(uri)
    if is_s3(fs):
        yield from _walk_s3(uri, fs, path)
        return
    try:
        yield stat(uri)
        return
    except IsADirectoryError:
        pass
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: no such file or folder") from error
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error
    yield from _tree(fs, _Folder(path))


def _walk_s3(uri: str, fs: AbstractFileSystem, path: str) -> Iterator[Entry]:
    found = False
    try:
        for info in s3.walk(fs, path):
            found = True
            yield _entry(fs, info)
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error
    if not found:
        try:
            yield stat(uri)
        except FileNotFoundError as error:
            raise UserError(f"{redact(uri)}: no such object, and nothing below it") from error
        except IsADirectoryError:
            return


def _tree(fs: AbstractFileSystem, root: _Folder) -> Iterator[Entry]:
    """Walk depth first, with the next folders of every level already being listed."""
    with ThreadPoolExecutor(LOOK_AHEAD, thread_name_prefix="walk") as pool:
        list_folder = functools.partial(_list_folder, fs)
        levels = [_Level(pool, list_folder, list_folder(root))]
        try:
            while levels:
                item = levels[-1].next()
                if item is None:
                    levels.pop()
                elif isinstance(item, Entry):
                    yield item
                else:
                    levels.append(_Level(pool, list_folder, item.result()))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Level:
    """The items of one folder in order; folders come as listings that were started a little ahead."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        list_folder: Callable[[_Folder], list[Entry | _Folder]],
        items: list[Entry | _Folder],
    ) -> None:
        self._items = iter(items)
        self._folders = (pool.submit(list_folder, item) for item in items if isinstance(item, _Folder))
        self._started: deque[Future[list[Entry | _Folder]]] = deque()

    def next(self) -> Entry | Future[list[Entry | _Folder]] | None:
        item = next(self._items, None)
        if not isinstance(item, _Folder):
            return item
        while len(self._started) <= LOOK_AHEAD and (future := next(self._folders, None)):
            self._started.append(future)
        return self._started.popleft()


def _list_folder(fs: AbstractFileSystem, folder: _Folder) -> list[Entry | _Folder]:
    uri = uri_of(fs, folder.path)
    try:
        return attempt(uri, "listing", lambda: _lister(fs)(folder))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error


def _lister(fs: AbstractFileSystem) -> Callable[[_Folder], list[Entry | _Folder]]:
    return _list_local if fs.protocol == ("file", "local") else functools.partial(_list_remote, fs)


def _list_local(folder: _Folder) -> list[Entry | _Folder]:
    here = os.stat(folder.path)
    above = (*folder.above, (here.st_dev, here.st_ino))
    found: list[tuple[str, Entry | _Folder]] = []
    with os.scandir(folder.path) as names:
        for name in names:
            if name.name.startswith("."):
                continue
            kind = _followed(name) if name.is_symlink() else name.stat()
            if kind is None:
                found.append((name.name, Entry("file://" + name.path, 0, "0-missing")))
            elif modes.S_ISREG(kind.st_mode):
                found.append((name.name, _local(name.path, kind)))
            elif modes.S_ISDIR(kind.st_mode) and (kind.st_dev, kind.st_ino) not in above:
                found.append((name.name + "/", _Folder(name.path, above)))
    found.sort(key=lambda item: item[0])
    return [item for _, item in found]


def _followed(link: os.DirEntry[str]) -> os.stat_result | None:
    """Give what a link leads to; None where it leads nowhere or in circles."""
    try:
        return os.stat(link.path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def _list_remote(fs: AbstractFileSystem, folder: _Folder) -> list[Entry | _Folder]:
    found: list[tuple[str, Entry | _Folder]] = []
    for info in fs.ls(folder.path, detail=True):
        name = info["name"].rstrip("/")
        base = _base(name)
        if base.startswith(".") or name == folder.path or not base:
            continue
        if info["type"] == "directory":
            found.append((base + "/", _Folder(name)))
        else:
            found.append((base, _entry(fs, info)))
    found.sort(key=lambda item: item[0])
    return [item for _, item in found]


def _local_names(uri: str) -> list[str]:
    try:
        with os.scandir(local_path(uri)) as names:
            return sorted(name.name + ("/" if name.is_dir() else "") for name in names)
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise denied(uri, "listing", "") from error


def _local_entry(path: str) -> Entry:
    status = os.stat(path)
    if modes.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    if not modes.S_ISREG(status.st_mode):
        raise UserError(f"file://{path}: neither a file nor a folder")
    return _local(path, status)


def _local(path: str, status: os.stat_result) -> Entry:
    return Entry("file://" + path, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def _entry(fs: AbstractFileSystem, info: dict[str, Any]) -> Entry:
    size = int(info.get("size") or 0)
    mark = next((_mark(info[field]) for field in _VERSION_FIELDS if info.get(field)), "")
    # Some stores quote etags in headers but not in listings.
    quoted = '"' + mark.strip('"') + '"'
    return Entry(uri_of(fs, info["name"]), size, f"{size}-{quoted}")


def _mark(value: object) -> str:
    """Give a date as its number, for some stores list dates in one form and tell them in another."""
    return str(value.timestamp() if isinstance(value, datetime) else value)


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
