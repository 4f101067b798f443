"""Where tables lie in chaos: a disk, moto, a Ceph gateway."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage.paths import filesystem
from tests import radosgw

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
    with _moto() if name == "moto" else radosgw.running() as endpoint, _variables(endpoint):
        bucket = f"chaos-{uuid.uuid4().hex[:12]}"
        filesystem(f"s3://{bucket}")[0].call_s3("create_bucket", Bucket=bucket)
        yield Place(name, f"s3://{bucket}")


@contextlib.contextmanager
def _moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@contextlib.contextmanager
def _variables(endpoint: str) -> Iterator[None]:
    ours = {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": radosgw.KEY, "AWS_SECRET_ACCESS_KEY": radosgw.SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1,localhost",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
