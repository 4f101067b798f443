"""One file or object as a listing shows it, from what local disks and stores tell about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.storage.paths import uri_of

SPECIAL = "0-special"
"""Version of what is neither file nor folder."""
_VERSION_FIELDS = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "created")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or object, as a listing shows it."""

    uri: str
    size: int
    version: str
    """Tells content from other content: `123-"etag"` from a store, `123-mtime_ns` on a local disk."""

    @property
    def special(self) -> bool:
        """Whether it is neither file nor folder, but a pipe, a socket or a device, and never to be opened."""
        return self.version == SPECIAL


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder met while listing."""

    path: str
    above: tuple[tuple[int, int], ...] = ()
    """Device and inode of the folders above it: a link to one of them would never end."""


def of_status(path: str, status: os.stat_result) -> Entry:
    """Make the entry of a local file."""
    return Entry("file://" + path, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")


def of_info(fs: AbstractFileSystem, info: dict[str, Any]) -> Entry:
    """Make the entry of an object from what its store tells, in a listing or by itself."""
    size = int(info.get("size") or 0)
    mark = next((_mark(info[field]) for field in _VERSION_FIELDS if info.get(field)), "")
    # Some stores quote etags in headers but not in listings.
    quoted = '"' + mark.strip('"') + '"'
    return Entry(uri_of(fs, info["name"]), size, f"{size}-{quoted}")


def _mark(value: object) -> str:
    """Give a date as its number, for some stores list dates in one form and tell them in another."""
    return str(value.timestamp() if isinstance(value, datetime) else value)
