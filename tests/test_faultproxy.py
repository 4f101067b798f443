"""What chance does to requests depends on its seed and on them alone."""

from __future__ import annotations

import http.client
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from pipeline.storage.listing import walk
from pipeline.storage.put import delete, put
from tests import faultproxy

ROUNDS = 40


class Store(BaseHTTPRequestHandler):
    """Answers whatever is asked with the same 100 bytes, but there is no file of the name `gone`."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(404 if self.path.endswith("/gone") else 200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(bytes(100))

    do_PUT = do_GET
    do_DELETE = do_GET

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


def only(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(faultproxy, "_kinds", lambda line, late: [kind])


@pytest.mark.parametrize("kind", ["cut", "short"])
def test_a_fault_of_a_body_is_counted_where_there_is_one(
    store: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    only(monkeypatch, kind)
    with faultproxy.running(store) as proxy:
        proxy.begin(faultproxy.Chances(1, rate=1.0))
        assert came(proxy.endpoint, "GET", "/b/gone") == (404, 100)
        assert proxy.counts == {}
        assert came(proxy.endpoint, "GET", "/b/a.wav") != (200, 100)
        assert proxy.counts == {kind: 1}


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("PUT", "/b/a.wav", "lost answer"), ("PUT", "/b/gone", "reset"), ("GET", "/b/a.wav", "reset"),
        ("DELETE", "/b/a.wav", "reset"),
    ],
)  # fmt: skip
def test_an_answer_is_lost_where_something_was_put(
    store: str, monkeypatch: pytest.MonkeyPatch, method: str, path: str, kind: str
) -> None:
    only(monkeypatch, "lost answer")
    with faultproxy.running(store) as proxy:
        proxy.begin(faultproxy.Chances(1, rate=1.0))
        assert came(proxy.endpoint, method, path) == "reset"
        assert proxy.counts == {kind: 1}


@pytest.mark.parametrize(
    ("latest", "kind", "too_late"), [(0.09, "delay", None), (0.3, "delay", None), (0.0, "too late", 0.2)]
)
def test_a_delay_is_counted_where_it_is_longer_than_those_of_a_store_that_is_well(
    store: str, monkeypatch: pytest.MonkeyPatch, latest: float, kind: str, too_late: float | None
) -> None:
    only(monkeypatch, kind)
    with faultproxy.running(store) as proxy:
        proxy.begin(faultproxy.Chances(1, rate=1.0, latest=latest, too_late=too_late))
        taken = []
        for number in range(4):
            began = time.monotonic()
            assert came(proxy.endpoint, "GET", f"/b/{number}") == (200, 100)
            taken.append(time.monotonic() - began)
        assert proxy.counts[kind] <= sum(each > faultproxy.SLOW for each in taken)
        assert (proxy.counts[kind] > 0) == (latest > faultproxy.SLOW or too_late is not None)


def test_a_stale_listing_hides_what_was_just_put_and_shows_what_was_deleted(
    s3_proxy: faultproxy.Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, "stale listing")

    def names(folder: str) -> set[str]:
        return {each.uri.rpartition("/")[2] for each in walk(f"{s3_proxy.bucket.uri}/{folder}")}

    s3_proxy.begin(faultproxy.Chances(1, rate=0.0))
    for name in ("kept/a", *(f"out/{number}" for number in range(7)), "out/gone", "out/f %+e.flac"):
        put(f"{s3_proxy.bucket.uri}/{name}", b"x")
    delete(f"{s3_proxy.bucket.uri}/out/gone")
    whole = {*map(str, range(7)), "f %+e.flac"}
    assert names("out") == whole

    s3_proxy.chances = faultproxy.Chances(1, rate=1.0)
    listings = [names("out") for _ in range(10)]
    assert all("f %+e.flac" not in each and {"0", "1"} <= each <= {*whole, "gone"} for each in listings)
    assert sum("gone" in each for each in listings) in range(1, 10)
    assert s3_proxy.counts == {"stale listing": 10}
    assert names("kept") == {"a"}
    assert s3_proxy.counts == {"stale listing": 10}
