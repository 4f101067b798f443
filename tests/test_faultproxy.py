"""What chance does to requests depends on its seed and on them alone."""

from __future__ import annotations

import http.client
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tests import faultproxy

ROUNDS = 40


class Store(BaseHTTPRequestHandler):
    """Answers whatever is asked with the same 100 bytes."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(bytes(100))

    do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def store() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def befallen(store: str, seed: int) -> tuple[list[object], dict[str, int]]:
    """What came of each of some requests to a bucket of a new name, and the faults that the proxy counted."""
    bucket, run, upload = f"b-{uuid.uuid4().hex[:12]}", f"20260101T000000.000-{uuid.uuid4().hex[:4]}", uuid.uuid4().hex
    asked = [
        ("GET", f"/{bucket}?list-type=2&prefix=out%2F&encoding-type=url"),
        ("GET", f"/{bucket}?list-type=2&prefix=out%2F&continuation-token={upload[::2]}"),
        ("PUT", f"/{bucket}/out/_probe-{uuid.uuid4().hex}"),
        ("PUT", f"/{bucket}/out/_runs/{run}.json"),
        ("GET", f"/{bucket}/in/a.wav"),
        ("PUT", f"/{bucket}/out/{'0' * 32}.parquet?partNumber=1&uploadId={upload[1::2]}-x"),
    ]
    with faultproxy.running(store) as proxy:
        proxy.begin(faultproxy.Chances(seed, rate=0.4, latest=0.0))
        found = [came(proxy.endpoint, *each) for _ in range(ROUNDS) for each in asked]
        return found, dict(proxy.counts)


def came(endpoint: str, method: str, path: str) -> object:
    """The status of an answer and its bytes, or what became of the connection."""
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    try:
        connection.request(method, path, body=b"x" if method == "PUT" else None)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except http.client.IncompleteRead as cut:
        return "cut", len(cut.partial)
    except (ConnectionError, http.client.HTTPException):
        return "reset"
    finally:
        connection.close()


def test_the_same_seed_does_the_same_to_the_same_requests_in_another_bucket(store: str) -> None:
    found, counts = befallen(store, 7)
    again, counted = befallen(store, 7)
    assert again == found
    assert counted == counts
    assert len(counts) > 6, counts
    assert befallen(store, 8)[0] != found
