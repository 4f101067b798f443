"""Storage as Arrow sees it: what it reads is tried again and has its length, as everywhere else."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.fs as pafs

from pipeline.storage.listing import stat
from pipeline.storage.paths import filesystem, is_local, uri_of
from pipeline.storage.rangefile import RangeFile

_BUFFER = 2**16


def arrow_filesystem(uri: str) -> pafs.FileSystem:
    """File system in which Arrow finds what lies where `uri` does, by its path."""
    return pafs.LocalFileSystem() if is_local(uri) else pafs.PyFileSystem(_Patient(filesystem(uri)[0]))


class _Patient(pafs.FSSpecHandler):  # type: ignore[misc]
    """FSSpecHandler takes any fault for a missing file, and tries nothing twice."""

    def open_input_file(self, path: str) -> pa.PythonFile:
        entry = stat(uri_of(self.fs, path))
        return pa.PythonFile(io.BufferedReader(RangeFile(entry.uri, 0, entry.size), _BUFFER), mode="r")
