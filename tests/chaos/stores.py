"""S3 servers for chaos: the fast one, and the one that behaves like those of archives where it is installed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from unittest import mock
from urllib.parse import urlsplit

from pipeline.storage.paths import filesystem
from tests import radosgw
from tests.jobs.corpora import ROOT

_OTHERS = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """Address of a moto server that lives as long as the block, in a process of its own: it costs as much as a run."""
    serve = [sys.executable, "-m", "tests.motoserver"]
    server = subprocess.Popen(serve, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.communicate()


@contextlib.contextmanager
def gateway() -> Iterator[str]:
    """Address of a Ceph gateway: that of VOXMILL_TEST_S3, or one that lives as long as the block."""
    given = urlsplit(os.environ.get("VOXMILL_TEST_S3", ""))
    if given.hostname:
        yield f"http://{given.hostname}:{given.port}"
        return
    with radosgw.running() as endpoint:
        yield endpoint


STORES = {"moto": moto, "radosgw": gateway}
GATEWAY = 60.0
"""Seconds that must be left for a gateway to be worth its start."""


def opened(stack: contextlib.ExitStack, *, seconds: float) -> dict[str, str]:
    """Name of each store that can be had here, and its address; the gateway only where there is time for it."""
    found = {}
    for name, store in STORES.items():
        if name == "radosgw" and not os.environ.get("VOXMILL_TEST_S3") and (radosgw.missing() or seconds < GATEWAY):
            print(f"without {name}: {_why_not(seconds)}", file=sys.stderr)
            continue
        try:
            found[name] = stack.enter_context(store())
        # On a machine that is busy with other things it may not come up, which breaks no promise.
        except (subprocess.TimeoutExpired, RuntimeError) as error:
            if os.environ.get("CI"):
                raise
            print(f"without {name}, which did not start: {error}", file=sys.stderr)
    return found


def _why_not(seconds: float) -> str:
    lacking = radosgw.missing()
    return f"there is no {', '.join(lacking)}" if lacking else f"{seconds:.0f} s are left, and it takes {GATEWAY:g} s"


def variables(endpoint: str) -> dict[str, str]:
    """AWS variables that lead to a server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": radosgw.KEY,
        "AWS_SECRET_ACCESS_KEY": radosgw.SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }


@contextlib.contextmanager
def reached_at(endpoint: str) -> Iterator[None]:
    """Let storage be reached at an address, in this process, as long as the block runs."""
    kept = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    with mock.patch.dict(os.environ, kept | variables(endpoint), clear=True):
        yield


def make_bucket(endpoint: str, name: str) -> None:
    with reached_at(endpoint):
        filesystem(f"s3://{name}")[0].call_s3("create_bucket", Bucket=name)
