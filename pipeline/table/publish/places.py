"""Names below an output of what is published: the one place that spells them."""

from __future__ import annotations

import re
from urllib.parse import quote

from pipeline.storage.paths import join
from pipeline.storage.put import delete, remove_empty

PUBLISHED_FOLDER = "_published"
MANIFESTS_FOLDER = "_manifests"
NULL = "__HIVE_DEFAULT_PARTITION__"
"""What Hive, Spark and DuckDB call the partition of rows without a value."""

_MANIFEST = re.compile(r"([0-9]{6,})\.manifest")
_DATA_FILE = re.compile(r"([^/=]+=[^/]*/)?[0-9a-f]{32}\.parquet")


def published_folder(output: str, task: str) -> str:
    """Folder of the published files of a task; manifests apart, it holds nothing else."""
    return join(output, PUBLISHED_FOLDER, task)


def manifests_folder(output: str, task: str) -> str:
    """Folder of the manifests; no reader of a folder of Parquet looks behind its underscore."""
    return join(published_folder(output, task), MANIFESTS_FOLDER)


def manifest_file(output: str, task: str, number: int) -> str:
    """One manifest, numbered from 1; the last one holds."""
    return join(manifests_folder(output, task), f"{number:06d}.manifest")


def manifest_of(name: str) -> int | None:
    """Number in the name of a manifest, or None where the name is not one."""
    match = _MANIFEST.fullmatch(name)
    return int(match[1]) if match else None


def is_data(path: str) -> bool:
    """Say whether a path below the folder of a task is the name of a published file."""
    return _DATA_FILE.fullmatch(path) is not None


def remove(uri: str) -> None:
    """Remove a file; where it was the last one of a partition, that folder too."""
    delete(uri)
    folder, _, name = uri.rpartition("/")
    partition = folder.rpartition("/")[2]
    if "=" in partition and is_data(f"{partition}/{name}"):
        remove_empty(folder)


def partition_folder(column: str, value: str | None) -> str:
    """Folder of the rows with one value of a column, as Hive spells it."""
    return f"{quote(column, safe='')}={NULL if value is None else quote(value, safe='')}"
