"""Where tables lie in chaos: a disk, moto, a Ceph gateway."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage.paths import filesystem
from tests import radosgw
from tests.chaos import stores

NAMES = ("disk", "moto", "radosgw")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or a bucket."""

    name: str
    uri: str


def there_are() -> list[str]:
    """Names of the places that this machine has."""
    if lacking := radosgw.missing():
        print(f"no Ceph gateway here, for there is no {', '.join(lacking)}", file=sys.stderr)
        return [name for name in NAMES if name != "radosgw"]
    return list(NAMES)


@contextlib.contextmanager
def opened(name: str, folder: Path) -> Iterator[Place]:
    """A place of its own; where it is a store, this process's AWS variables lead to it as long as the block runs."""
    if name == "disk":
        (folder / "disk").mkdir()
        yield Place(name, str(folder / "disk"))
        return
    with stores.STORES[name]() as endpoint, stores.reached_at(endpoint):
        bucket = f"chaos-{uuid.uuid4().hex[:12]}"
        filesystem(f"s3://{bucket}")[0].call_s3("create_bucket", Bucket=bucket)
        yield Place(name, f"s3://{bucket}")
