"""A store for benchmarks: S3 on loopback that takes its time, with some real objects and any number of made-up ones.

It answers GET with ranges, HEAD, PUT, also conditional, DELETE, and ListObjectsV2 in pages of 1,000 keys. Real objects
are files of a folder, made-up ones are names that all hold the same bytes. Each answer waits 50 to 100 ms.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import multiprocessing
import os
import random
import re
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "labels"
PAGE = 1000
DELAY = (0.05, 0.1)
"""Seconds that an answer waits."""
COUNTS = "/counts"
"""Path that tells the requests since it was last asked, by kind."""


def kind(method: str, path: str, listing: bool) -> str:
    """What a request is for: `list units`, `get plan`, …"""
    what = "units" if re.search(r"[0-9a-f]{32}\.parquet|/transcribe/[0-9a-f]?$", path) else "other"
    for word in ("plan", "totals", "published", "runs", "leases", "forgotten", "probe", "task.json", "SUCCESS"):
        what = word if f"_{word}" in path else what
    return f"{'list' if listing else method.lower()} {what}"


class Store:
    """What is in the bucket."""

    def __init__(self, folder: Path, made_up: Sequence[str], data: bytes) -> None:
        self._folder = folder
        self._data = data
        self._made_up = frozenset(made_up)
        real = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
        self._keys = sorted({*real, *made_up})
        self._sizes = {key: (folder / key).stat().st_size for key in real} | dict.fromkeys(made_up, len(data))
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def read(self, key: str) -> bytes | None:
        if key in self._made_up:
            return self._data
        file = self._folder / key
        return file.read_bytes() if key in self._sizes and file.is_file() else None

    def put(self, key: str, data: bytes, *, absent: bool) -> bool:
        with self.lock:
            if absent and key in self._sizes:
                return False
            (self._folder / key).parent.mkdir(parents=True, exist_ok=True)
            (self._folder / key).write_bytes(data)
            if key not in self._sizes:
                bisect.insort(self._keys, key)
            self._sizes[key] = len(data)
            return True

    def delete(self, key: str) -> None:
        with self.lock:
            if self._sizes.pop(key, None) is not None:
                self._keys.remove(key)

    def page(self, query: dict[str, list[str]]) -> bytes:
        """One page of a listing; folders count as keys do."""
        keys = self._keys
        first = {name: values[0] for name, values in query.items()}
        prefix, delimiter = first.get("prefix", ""), first.get("delimiter", "")
        after = first.get("continuation-token") or first.get("start-after", "")
        at = bisect.bisect_left(keys, prefix)
        at = max(at, bisect.bisect_right(keys, after)) if after else at
        parts, last, count = [], "", 0
        while at < len(keys) and keys[at].startswith(prefix) and count < PAGE:
            key, below = keys[at], keys[at][len(prefix) :]
            if delimiter and delimiter in below:
                folder = prefix + below.partition(delimiter)[0] + delimiter
                parts.append(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>")
                last = folder + "\U0010ffff"
                at = bisect.bisect_right(keys, last)
            else:
                parts.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                    f'<ETag>"0"</ETag><Size>{self._sizes[key]}</Size><StorageClass>STANDARD</StorageClass></Contents>'
                )
                last, at = key, at + 1
            count += 1
        more = at < len(keys) and keys[at].startswith(prefix)
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{BUCKET}</Name><IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(parts)}"
            "</ListBucketResult>"
        ).encode()


def serve(folder: Path, made_up: Sequence[str], data: bytes, port: Any) -> None:
    """Serve for ever; tells its port through a pipe."""
    store = Store(folder, made_up, data)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == COUNTS:
                with store.lock:
                    told = json.dumps(store.counts).encode()
                    store.counts.clear()
                self.answer(200, told)
                return
            query = parse_qs(urlsplit(self.path).query)
            listing = "list-type" in query
            self.counted(query["prefix"][0] if listing else self.key, listing=listing)
            data = store.page(query) if listing else store.read(self.key)
            if data is None:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
                return
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            part = data[int(asked[1]) : int(asked[2]) + 1 if asked[2] else None] if asked else data
            self.answer(206 if asked else 200, part)

        do_HEAD = do_GET

        def do_PUT(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            self.counted(self.key)
            won = store.put(self.key, data, absent="If-None-Match" in self.headers)
            self.answer(200 if won else 412, b"" if won else b"<Error><Code>PreconditionFailed</Code></Error>")

        def do_DELETE(self) -> None:
            self.counted(self.key)
            store.delete(self.key)
            self.answer(204, b"")

        @property
        def key(self) -> str:
            return unquote(urlsplit(self.path).path)[len(BUCKET) + 2 :]

        def counted(self, key: str, *, listing: bool = False) -> None:
            with store.lock:
                store.counts[kind(self.command, key, listing)] += 1
            time.sleep(random.uniform(*DELAY))

        def answer(self, status: int, data: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("ETag", '"0"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    port.send(server.server_port)
    server.serve_forever()


@contextlib.contextmanager
def running(folder: Path, made_up: Sequence[str] = (), *, data: bytes = b"made up" * 1000) -> Iterator[str]:
    """A store in a process of its own, to which the AWS variables lead; gives its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(folder, made_up, data, theirs), daemon=True)
    process.start()
    endpoint = f"http://127.0.0.1:{ours.recv()}"
    os.environ.update(
        AWS_ENDPOINT_URL=endpoint, AWS_ACCESS_KEY_ID="key", AWS_SECRET_ACCESS_KEY="secret",
        AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true", NO_PROXY="127.0.0.1",
    )  # fmt: skip
    try:
        yield endpoint
    finally:
        process.terminate()
        process.join()


def counts(endpoint: str) -> dict[str, int]:
    """Requests since this was last asked, by kind."""
    found: dict[str, int] = json.loads(urllib.request.urlopen(endpoint + COUNTS).read())
    return dict(sorted(found.items()))
