"""S3 servers on loopback for tests, and a proxy before them that misbehaves on request."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from subprocess import TimeoutExpired
from urllib.parse import urlsplit

import pytest

from pipeline.storage.paths import filesystem
from tests import faultproxy, motoserver, radosgw
from tests.needs import unavailable


@dataclass
class Bucket:
    """An empty bucket of its own for one test."""

    name: str
    endpoint: str

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"


ON_BOTH = ("test_faultproxy", "test_put", "test_s3", "test_s3_run")
"""Modules whose tests run on moto and on a store as archives lie on: they depend most on what a store does."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some modules on both servers."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if module in ON_BOTH and "s3_endpoint" in metafunc.fixturenames and not _STORE.hostname:
        stores = ["moto", "radosgw"]
        # A whole job takes long: on one, the one that is like those of archives where it is installed.
        if module == "test_s3_run":
            stores = ["moto"] if radosgw.missing() else ["radosgw"]
        metafunc.parametrize("s3_endpoint", stores, indirect=True, scope="session")


@pytest.fixture(scope="session")
def s3_endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a moto server, of a Ceph gateway, or of the store in VOXMILL_TEST_S3; as long as its tests run."""
    if _STORE.hostname:
        yield f"http://{_STORE.hostname}:{_STORE.port}"
        return
    if getattr(request, "param", "moto") == "radosgw":
        if lacking := radosgw.missing():
            unavailable(f"no {', '.join(lacking)}; apt-get install ceph-mon ceph-osd radosgw")
        with ExitStack() as stack:
            try:
                endpoint = stack.enter_context(radosgw.running())
            except (RuntimeError, TimeoutExpired):
                # Once more: on a busy machine one of its five programs may have been too late, or found its port taken.
                endpoint = stack.enter_context(radosgw.running())
            yield endpoint
        return
    with motoserver.running() as endpoint:
        yield endpoint


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ordinary AWS variables that lead to the server, for this process and the ones it starts."""
    use_endpoint(monkeypatch, s3_endpoint)
    return s3_endpoint


@pytest.fixture
def s3_server(s3_environment: str) -> Bucket:
    """A bucket of its own on the server; `uri` is where it is."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    filesystem(f"s3://{name}")[0].call_s3("create_bucket", Bucket=name)
    return Bucket(name, s3_environment)


def use_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Set the variables that every AWS client reads."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", _STORE.username or radosgw.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _STORE.password or radosgw.SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def s3_proxy(s3_server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[faultproxy.Proxy]:
    """A proxy before `s3_server`, which is its `bucket`, to which the AWS variables lead; give it faults."""
    with faultproxy.running(s3_server.endpoint) as proxy:
        proxy.bucket = s3_server
        use_endpoint(monkeypatch, proxy.endpoint)
        yield proxy


_STORE = urlsplit(os.environ.get("VOXMILL_TEST_S3", ""))
"""A real store to run the tests against: http://key:secret@host:port."""
