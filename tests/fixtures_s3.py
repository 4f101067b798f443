"""S3 servers on loopback for tests, and a proxy before them that misbehaves on request."""

from __future__ import annotations

import http.client
import os
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from pipeline.storage.paths import filesystem
from tests import radosgw
from tests.needs import unavailable


@dataclass
class Bucket:
    """An empty bucket of its own for one test."""

    name: str
    endpoint: str

    @property
    def uri(self) -> str:
        return f"s3://{self.name}"


ON_BOTH = ("test_put", "test_s3", "test_s3_run")
"""Modules whose tests run on moto and on a store as archives lie on: they depend most on what a store does."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of some modules on both servers."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if module in ON_BOTH and "s3_endpoint" in metafunc.fixturenames and not _STORE.hostname:
        metafunc.parametrize("s3_endpoint", ["moto", "radosgw"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def s3_endpoint(request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a moto server, of a Ceph gateway, or of the store in VOXMILL_TEST_S3; as long as its tests run."""
    if _STORE.hostname:
        yield f"http://{_STORE.hostname}:{_STORE.port}"
        return
    if getattr(request, "param", "moto") == "radosgw":
        if lacking := radosgw.missing():
            unavailable(f"no {', '.join(lacking)}; apt-get install ceph-mon ceph-osd radosgw")
        with radosgw.running() as endpoint:
            yield endpoint
        return
    from moto.server import ThreadedMotoServer  # costs a second, which only tests that need it pay

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


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


@dataclass
class Answer:
    """An HTTP answer; `cut` sends the headers and only so many bytes."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    cut: int | None = None


@dataclass
class Fault:
    """What the proxy does to requests whose "METHOD /path?query" matches."""

    pattern: str
    act: Callable[[Answer], Answer | None]
    """Gets the server's answer and gives the one to send; None cuts the connection."""
    times: int
    forward: bool
    """False: the request never reaches the server."""


@dataclass
class Proxy:
    """A proxy before the server: `requests` seen, and faults of which the first that matches acts."""

    bucket: Bucket
    endpoint: str = ""
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, pattern: str, *, status: int, code: str, times: int = 10**9) -> None:
        """Answer with an S3 error, without asking the server."""
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up</Message></Error>".encode()
        answer = Answer(status, [("Content-Type", "application/xml")], body)
        self.faults.append(Fault(pattern, lambda _: answer, times, forward=False))

    def cut_body(self, pattern: str, *, after: int, times: int = 10**9) -> None:
        """Send only the first bytes of what the headers promise."""
        self.faults.append(Fault(pattern, lambda answer: replace(answer, cut=after), times, forward=True))

    def lose_answer(self, pattern: str, *, times: int = 10**9) -> None:
        """Let the server do what is asked, then close the connection without an answer."""
        self.faults.append(Fault(pattern, lambda _: None, times, forward=True))

    def fault_for(self, line: str) -> Fault | None:
        with self.lock:
            self.requests.append(line)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None


@pytest.fixture
def s3_proxy(s3_server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before `s3_server`, to which the AWS variables lead; give it faults."""
    with _proxy(s3_server) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        yield proxy


@contextmanager
def _proxy(bucket: Bucket) -> Iterator[Proxy]:
    proxy = Proxy(bucket)
    upstream = bucket.endpoint

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.fault_for(f"{self.command} {self.path}")
            answer = Answer(500) if fault and not fault.forward else self._forward(body)
            sent = fault.act(answer) if fault else answer
            if sent is None:
                self.close_connection = True
                return
            self._send(sent)

        def _forward(self, body: bytes) -> Answer:
            connection = http.client.HTTPConnection(upstream.removeprefix("http://"), timeout=30)
            connection.request(self.command, self.path, body=body, headers=dict(self.headers))
            response = connection.getresponse()
            data = response.read()
            headers = [item for item in response.getheaders() if item[0].lower() not in _HOP]
            connection.close()
            length = response.getheader("Content-Length")
            if self.command == "HEAD" and length:
                headers.append(("Content-Length", length))
            return Answer(response.status, headers, data)

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if self.command == "HEAD":
                self.end_headers()
                return
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
            self.close_connection = self.close_connection or answer.cut is not None

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


_STORE = urlsplit(os.environ.get("VOXMILL_TEST_S3", ""))
"""A real store to run the tests against: http://key:secret@host:port."""
_HOP = ("content-length", "transfer-encoding", "connection", "server", "date")
