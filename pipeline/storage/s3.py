"""Listing S3 by key ranges: flat pages of 1,000 keys, several ranges at once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.storage.parallel import in_order
from pipeline.storage.retry import attempt
from pipeline.threads import threads

RANGES = 8
"""Key ranges listed at once; more does not help, for parsing the answers keeps one core busy."""
EARLY = 3000
"""Keys that are listed before the rest is split into ranges."""
SPLIT_POINTS = 256
_FAN_OUT = 32


def walk(fs: AbstractFileSystem, path: str) -> Iterator[dict[str, Any]]:
    """List every object below a prefix in the order of keys, as dicts with `name`, `size` and `ETag`.

    The first pages come one after the other. If there is more, folders become the edges of key ranges that
    are listed at once, flat: one request for 1,000 objects whatever the shape of the tree. Folder markers,
    and what a leading dot in a part of the path below the prefix hides, are left out.
    """
    bucket, prefix = _prefix(path)
    for key in _keys_below(fs, bucket, prefix):
        if not key["Key"].endswith("/") and not _hidden(key["Key"][len(prefix) :]):
            yield {"name": f"{bucket}/{key['Key']}", "size": key["Size"], "ETag": key.get("ETag", "")}


def _keys_below(fs: AbstractFileSystem, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    first = list(itertools.islice(_range(fs, bucket, prefix, None, None), EARLY))
    yield from first
    if len(first) < EARLY:
        return
    last = first[-1]["Key"]
    points = [point for point in _split_points(fs, bucket, prefix) if point > last]
    edges = itertools.pairwise([last, *points, None])
    jobs = (functools.partial(_range, fs, bucket, prefix, after, until) for after, until in edges)
    yield from in_order(jobs, workers=RANGES, batches=64)


def sizes(fs: AbstractFileSystem, path: str) -> dict[str, int]:
    """List the names directly below a prefix with their bytes, in parallel when many; folders end with "/"."""
    bucket, prefix = _prefix(path)
    page = _page(fs, bucket, prefix, Delimiter="/")
    keys = _keys(page)
    if page.get("IsTruncated"):
        ranges = itertools.pairwise(["", *(prefix + digit for digit in "0123456789abcdef"), None])
        with threads(_FAN_OUT, "names") as pool:
            parts = pool.map(lambda edges: list(_range(fs, bucket, prefix, *edges, Delimiter="/")), ranges)
            keys = [key for part in parts for key in part]
    return {key["Key"][len(prefix) :]: key.get("Size", 0) for key in keys if key["Key"] != prefix}


def _split_points(fs: AbstractFileSystem, bucket: str, prefix: str) -> list[str]:
    """Find folders, breadth first, until there are enough ranges to keep all listers busy."""
    points: list[str] = []
    level = [prefix]
    with threads(RANGES, "split") as pool:
        for _ in range(3):
            pages = pool.map(lambda at: _page(fs, bucket, at, Delimiter="/"), level)
            level = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
            points += level
            if not 0 < len(level) < _FAN_OUT:
                break
    points.sort()
    step = -(-len(points) // SPLIT_POINTS) or 1
    return points[::step]


def _range(
    fs: AbstractFileSystem, bucket: str, prefix: str, after: str | None, until: str | None, **options: Any
) -> Iterator[dict[str, Any]]:
    """Yield the keys of (after, until]; with a delimiter also the folders."""
    if after:
        options["StartAfter"] = after
    while True:
        page = _page(fs, bucket, prefix, **options)
        for key in _keys(page):
            if until is not None and key["Key"] > until:
                return
            yield key
        if not page.get("IsTruncated"):
            return
        options["ContinuationToken"] = page["NextContinuationToken"]


def _keys(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Give files and folders of a page in order; a folder is a key with a trailing slash."""
    files: list[dict[str, Any]] = page.get("Contents", [])
    folders = [{"Key": item["Prefix"]} for item in page.get("CommonPrefixes", [])]
    return sorted(files + folders, key=lambda item: item["Key"]) if folders else files


def _page(fs: AbstractFileSystem, bucket: str, prefix: str, **options: Any) -> dict[str, Any]:
    def call() -> dict[str, Any]:
        page: dict[str, Any] = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **options)
        # An answer without a body is parsed as a page without keys, the end of every listing.
        if "IsTruncated" not in page:
            raise ConnectionError("the answer does not say whether it is the last page")
        return page

    return attempt(f"s3://{bucket}/{prefix}", "listing", call)


def _prefix(path: str) -> tuple[str, str]:
    bucket, _, key = path.partition("/")
    return bucket, key.rstrip("/") + "/" if key else ""


def _hidden(below: str) -> bool:
    return below.startswith(".") or "/." in below
