"""What is in a folder: recursive listing in one fixed order, single names, single entries."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.errors import UserError
from pipeline.storage import local, s3, tree
from pipeline.storage.entry import Entry, Folder, of_info
from pipeline.storage.paths import filesystem, is_local, is_s3, local_path, redact, uri_of
from pipeline.storage.retry import attempt, denied

__all__ = ["Entry", "children", "holds_anything", "list_names", "list_sizes", "modified", "stat", "walk"]


def walk(uri: str, *, on_progress: Callable[[int], None] | None = None, special: bool = False) -> Iterator[Entry]:
    """List every file below a folder, or the file itself, sorted by full path.

    Hidden files and folders (a leading dot) are left out; links are followed, loops are not. A local link to
    nothing is listed with size 0, so that it can end as a missing recording.

    Args:
        uri: a folder, or one file.
        on_progress: called a few times a second with the number of entries so far.
        special: list what is neither file nor folder too, see `Entry.special`; not to be opened.

    Raises:
        UserError: nothing is there, or access is denied to any part of it.
        StorageFault: the listing broke off; nothing may be concluded from what came before.
    """
    count, spoke = 0, time.monotonic()
    for entry in _listing(uri):
        if entry.special and not special:
            continue
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
        return attempt(uri, "looking", lambda: local.entry(local_path(uri)))
    fs, path = filesystem(uri)
    try:
        info = attempt(uri, "looking", lambda: fs.info(path))
    except PermissionError:
        # A HEAD has no body to tell a closed object from expired credentials, which concern everything.
        attempt(uri, "looking", lambda: fs.cat_file(path, start=0, end=1))
        raise
    if info["type"] == "directory":
        raise IsADirectoryError(uri)
    return of_info(fs, info)


def modified(uri: str) -> datetime:
    """When an object was last written, by the clock of its storage.

    Raises:
        FileNotFoundError: there is none.
        PermissionError, StorageFault, UserError: as `stat`.
    """
    fs, path = filesystem(uri)
    at: datetime = attempt(uri, "looking", lambda: fs.modified(path))
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def holds_anything(uri: str) -> bool:
    """Whether a folder can be looked into from here and is not empty, by a request or two.

    An object store has no empty folders: there it is whether the store answers.

    Raises:
        StorageFault, UserError: see `retry.attempt`.
    """
    if is_local(uri):
        return local.holds_anything(local_path(uri))
    fs, path = filesystem(uri)
    try:
        attempt(uri, "looking", lambda: fs.info(path))
    except PermissionError:
        return False
    except OSError:
        pass
    return True


def list_names(uri: str) -> list[str]:
    """List the names directly inside a folder, sorted; folders end with "/"; [] where it does not exist.

    Hidden names are included. Large folders of an object store are listed in parallel by first character.

    Raises:
        UserError: access is denied, or the bucket is missing.
        StorageFault: the listing broke off.
    """
    return sorted(list_sizes(uri))


def list_sizes(uri: str) -> dict[str, int]:
    """List what `list_names` does with the bytes of each file, by the same requests; in no order.

    Raises:
        UserError, StorageFault: as `list_names`.
    """
    fs, path = filesystem(uri)
    try:
        if is_s3(fs):
            return s3.sizes(fs, path)
        return attempt(uri, "listing", lambda: local.sizes(path) if is_local(uri) else _remote_sizes(fs, path))
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error


def children(uri: str) -> tuple[list[str], list[Entry]]:
    """List one folder: the URIs of the folders in it and its files, sorted, without hidden ones; none if it is none.

    Raises:
        UserError, StorageFault: as `walk`.
    """
    fs, path = filesystem(uri)
    try:
        items = _list_folder(fs, Folder(path))
    except NotADirectoryError:
        items = []
    folders = [uri_of(fs, item.path) for item in items if isinstance(item, Folder)]
    return folders, [item for item in items if isinstance(item, Entry) and not item.special]


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
    yield from tree.walk(functools.partial(_list_folder, fs), Folder(path))


def _walk_s3(uri: str, fs: AbstractFileSystem, path: str) -> Iterator[Entry]:
    found = False
    try:
        for info in s3.walk(fs, path):
            found = True
            yield of_info(fs, info)
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error
    if not found:
        try:
            yield stat(uri)
        except FileNotFoundError as error:
            raise UserError(f"{redact(uri)}: no such object, and nothing below it") from error
        except IsADirectoryError:
            return


def _list_folder(fs: AbstractFileSystem, folder: Folder) -> tree.Items:
    uri = uri_of(fs, folder.path)
    try:
        return attempt(uri, "listing", lambda: _lister(fs)(folder))
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise denied(uri, "listing", "s3:ListBucket") from error


def _lister(fs: AbstractFileSystem) -> tree.Lister:
    return local.list_folder if is_local(uri_of(fs, "/")) else functools.partial(_list_remote, fs)


def _list_remote(fs: AbstractFileSystem, folder: Folder) -> tree.Items:
    found: list[tuple[str, Entry | Folder]] = []
    for name, info in _inside(fs, folder.path):
        if not name.startswith("."):
            is_folder = info["type"] == "directory"
            item = Folder(info["name"].rstrip("/")) if is_folder else of_info(fs, info)
            found.append((name + "/" if is_folder else name, item))
    found.sort(key=lambda item: item[0])
    return [item for _, item in found]


def _remote_sizes(fs: AbstractFileSystem, path: str) -> dict[str, int]:
    return {
        name + ("/" if info["type"] == "directory" else ""): int(info.get("size") or 0)
        for name, info in _inside(fs, path)
    }


def _inside(fs: AbstractFileSystem, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is in a folder under its base name, without the folder itself, which some stores list too."""
    for info in fs.ls(path, detail=True):
        name = info["name"].rstrip("/")
        if name != path.rstrip("/"):
            yield name.rpartition("/")[2], info
