"""An HTTP proxy before an S3 server that misbehaves: where it is told to, or by chance, the same chance each time.

Chance is drawn from the seed, the method, the name asked for and how often that was asked before, so that a failure
replays whatever runs beside it, in whatever bucket.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit
from xml.sax.saxutils import escape, unescape

import aiohttp
import yarl
from aiohttp import web

_HOP = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
_RANDOM_NAMES = re.compile(
    r"(?<= /)[^/?]+|[0-9a-f]{32}(?!\.parquet)|\d{8}T\d{6}[^/?]*|(?<=uploadId=)[^&]+|(?<=-token=)[^&]+"
)
"""Parts of requests that differ from run to run: buckets, probes, manifests of runs, what the server made up."""
_CONTENTS = re.compile(r"<Contents>.*?</Contents>", re.DOTALL)
_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)
_REMEMBERED = 6
"""Writes that a stale listing may not show yet, counted back from the last."""


@dataclass
class Answer:
    """An HTTP answer; `cut` promises all of the body and sends only so many bytes of it."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    cut: int | None = None


@dataclass
class Fault:
    """What the proxy does to requests whose "METHOD /path?query" matches."""

    pattern: str
    act: Callable[[Answer], Answer | None]
    """Gets the server's answer and gives the one to send; None resets the connection."""
    times: int
    forward: bool
    """False: the request never reaches the server."""


@dataclass(frozen=True)
class Chances:
    """How often what happens to requests."""

    seed: int
    rate: float
    """Share of the requests that something happens to."""
    latest: float = 0.25
    """Seconds of the longest delay of an answer that comes."""
    too_late: float | None = None
    """Seconds after which an answer comes that nobody waits for; None: there is none."""


SLOW = 0.1
"""Seconds from which a delay is a fault: stores that are well take as long, as in `tests/benchmarks/slowstore.py`."""
ALWAYS = ("slow down", "500", "reset", "delay")
"""Kinds that may befall any request."""
KINDS = (*ALWAYS, "burst", "cut", "short", "lost answer", "stale listing", "too late")
"""All kinds: `cut` ends a body before its length, `short` tells a length that is less than the object's part.

A `lost answer` is that of a put which was done; where nothing was put, an answer that never comes is a `reset`.
"""


@dataclass
class Proxy:
    """A proxy in a thread: `requests` seen, faults of which the first that matches acts, and chances beside them."""

    upstream: str
    endpoint: str = ""
    bucket: Any = None
    """What a test has behind it."""
    requests: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    """Headers of requests, in lower case, that the server never sees."""
    chances: Chances | None = None
    counts: Counter[str] = field(default_factory=Counter)
    """Kind of each fault that chance made -> how often; what made no difference to an answer is none."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: Counter[str] = field(default_factory=Counter)
    _bursts: Counter[str] = field(default_factory=Counter)
    _put: list[str] = field(default_factory=list)
    """`bucket/key` of the last writes."""
    _deleted: dict[str, str] = field(default_factory=dict)
    """`bucket/key` of what was deleted -> how a listing would show it."""

    def refuse(self, pattern: str, *, status: int, code: str, times: int = 10**9, message: str = "made up") -> None:
        """Answer with an S3 error, without asking the server."""
        answer = _refusal(status, code, message)
        self.faults.append(Fault(pattern, lambda _: answer, times, forward=False))

    def cut_body(self, pattern: str, *, after: int, times: int = 10**9) -> None:
        """Send only the first bytes of what the headers promise."""
        self.faults.append(Fault(pattern, lambda answer: replace(answer, cut=after), times, forward=True))

    def shorten_body(self, pattern: str, *, to: int, times: int = 10**9) -> None:
        """Send only the first bytes, and promise no more."""
        self.faults.append(Fault(pattern, lambda answer: replace(answer, body=answer.body[:to]), times, forward=True))

    def lose_answer(self, pattern: str, *, times: int = 10**9) -> None:
        """Let the server do what is asked, then close the connection without an answer."""
        self.faults.append(Fault(pattern, lambda _: None, times, forward=True))

    def begin(self, chances: Chances | None) -> None:
        """Let chance act from now on, as if nothing had been asked before; None ends it."""
        with self.lock:
            self.chances = chances
            for each in (self._asked, self._bursts, self._put, self._deleted):
                each.clear()

    async def answer(self, request: web.BaseRequest, session: aiohttp.ClientSession) -> Answer | None:
        """What is sent for a request; None resets the connection."""
        line = f"{request.method} {request.raw_path}"
        if "Expect" in request.headers:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        body = await request.content.read()
        fault = self._scripted(line)
        if fault is not None:
            found = await self._ask(request, body, session) if fault.forward else Answer(500)
            return fault.act(found)
        kind, dice = self._drawn(line)
        if kind in _UNASKED:
            self._count(kind)
            return _UNASKED[kind]
        found = await self._ask(request, body, session)
        waits = self._wait(kind, dice)
        await asyncio.sleep(waits)
        harmed = self._harmed(kind, dice, line, found)
        if harmed != found or waits >= SLOW:
            was_put = request.method == "PUT" and found.status < 300
            self._count("reset" if kind == "lost answer" and not was_put else kind)
        return harmed

    def _wait(self, kind: str, dice: random.Random) -> float:
        """Seconds for which an answer is held back."""
        chances = self.chances
        if chances is None or kind not in ("delay", "too late"):
            return 0.0
        return chances.too_late or 0.0 if kind == "too late" else dice.uniform(0, chances.latest)

    def _harmed(self, kind: str, dice: random.Random, line: str, found: Answer) -> Answer | None:
        if kind == "lost answer":
            return None
        if kind in ("cut", "short") and found.status in (200, 206) and found.body:
            at = dice.randrange(len(found.body))
            return replace(found, cut=at) if kind == "cut" else replace(found, body=found.body[:at])
        if kind == "stale listing":
            return replace(found, body=self._stale(line, found.body, dice))
        return found

    def _count(self, kind: str) -> None:
        with self.lock:
            self.counts[kind] += 1

    def _scripted(self, line: str) -> Fault | None:
        with self.lock:
            self.requests.append(line)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, line):
                    fault.times -= 1
                    return fault
        return None

    def _drawn(self, line: str) -> tuple[str, random.Random]:
        """Kind of fault that befalls a request, or ""."""
        name = _RANDOM_NAMES.sub("*", line)
        with self.lock:
            if self.chances is None:
                return "", random.Random()
            self._asked[name] += 1
            dice = random.Random(f"{self.chances.seed} {name} {self._asked[name]}")
            if self._bursts[name]:
                self._bursts[name] -= 1
                kind = "burst"
            elif dice.random() < self.chances.rate:
                kind = dice.choice(_kinds(line, late=self.chances.too_late is not None))
            else:
                return "", dice
            if kind == "burst" and not self._bursts[name]:
                self._bursts[name] = dice.randrange(4)
        return kind, dice

    async def _ask(self, request: web.BaseRequest, body: bytes, session: aiohttp.ClientSession) -> Answer:
        url = yarl.URL(self.upstream + request.raw_path, encoded=True)
        headers = [
            (name, value) for name, value in request.headers.items() if name.lower() not in _DROPPED | self.ignored
        ]
        async with session.request(
            request.method, url, data=io.BytesIO(body) if body else None, headers=headers, allow_redirects=False
        ) as response:
            data = await response.read()
            kept = [(name, value) for name, value in response.headers.items() if name.lower() not in _HOP]
            if request.method == "HEAD" and "Content-Length" in response.headers:
                kept.append(("Content-Length", response.headers["Content-Length"]))
        if response.status < 300:
            self._note(request.method, request.raw_path, body, response.headers.get("ETag", ""))
        return Answer(response.status, kept, data)

    def _note(self, method: str, path: str, body: bytes, etag: str) -> None:
        """Remember what was written and deleted, for listings that do not show it yet."""
        name = unquote(urlsplit(path).path.lstrip("/"))
        with self.lock:
            if method == "PUT":
                self._put = [*self._put, name][-_REMEMBERED:]
                self._deleted.pop(name, None)
            elif method == "DELETE":
                self._deleted[name] = (
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                    f"<ETag>{escape(etag or '0')}</ETag><Size>5</Size><StorageClass>STANDARD</StorageClass>"
                )

    def _stale(self, line: str, body: bytes, dice: random.Random) -> bytes:
        """A listing as it was some writes ago: without what was put since, and with what was deleted."""
        parts = urlsplit(line.partition(" ")[2])
        query = parse_qs(parts.query, keep_blank_values=True)
        bucket, prefix, text = parts.path.strip("/"), query.get("prefix", [""])[0], body.decode()
        with self.lock:
            unseen = set(self._put[-dice.randint(1, _REMEMBERED) :])
            deleted = {name: told for name, told in self._deleted.items() if dice.random() < 0.5}

        def kept(match: re.Match[str]) -> str:
            key = _KEY.search(match[0])
            return "" if key and f"{bucket}/{unquote_plus(unescape(key[1]))}" in unseen else match[0]

        text = _CONTENTS.sub(kept, text)
        for name, told in deleted.items():
            key = name.removeprefix(f"{bucket}/")
            below = key.removeprefix(prefix)
            if name.startswith(f"{bucket}/{prefix}") and not ("/" in below and "delimiter" in query):
                shown = f"<Contents><Key>{escape(key)}</Key>{told}</Contents>"
                text = text.replace("</ListBucketResult>", f"{shown}</ListBucketResult>")
        return text.encode()


@contextlib.contextmanager
def running(upstream: str) -> Iterator[Proxy]:
    """A proxy on loopback, at work in a thread of its own as long as the block runs."""
    proxy, loop = Proxy(upstream), asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_serve(proxy, ready, stop)), daemon=True)
    thread.start()
    if not ready.wait(30):
        raise RuntimeError("the proxy does not start")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


_DROPPED = {"connection", "content-length", "expect", "keep-alive", "transfer-encoding"}
"""Headers of requests that the proxy's own client sets."""


async def _serve(proxy: Proxy, ready: threading.Event, stop: asyncio.Event) -> None:
    quiet = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        auto_decompress=False, timeout=quiet, cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
    ) as session:  # fmt: skip

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            found = await proxy.answer(request, session)
            try:
                return _reset(request) if found is None else await _send(request, found)
            except ConnectionError:
                # Whoever asked has given up, as is meant where an answer is too late.
                return _reset(request)

        server = web.Server(handle, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.endpoint = f"http://127.0.0.1:{cast(Any, site._server).sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        await runner.cleanup()


async def _send(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=[(n, v) for n, v in answer.headers])
    if request.method != "HEAD":
        response.content_length = len(answer.body)
    await response.prepare(request)
    if request.method != "HEAD":
        await response.write(answer.body if answer.cut is None else answer.body[: answer.cut])
    if answer.cut is not None:
        # What was written so far should arrive.
        await asyncio.sleep(0.005)
        return _reset(request)
    await response.write_eof()
    return response


def _reset(request: web.BaseRequest) -> web.StreamResponse:
    """End the connection as a router that forgot it does."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()
    return web.Response(status=500)


def _refusal(status: int, code: str, message: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return Answer(status, [("Content-Type", "application/xml")], body.encode())


_UNASKED = {
    **dict.fromkeys(("slow down", "burst"), _refusal(503, "SlowDown", "Please reduce your request rate.")),
    "500": _refusal(500, "InternalError", "We encountered an internal error. Please try again."),
    "reset": None,
}
"""Kinds at which the server is not asked, and what is answered."""


def _kinds(line: str, *, late: bool) -> list[str]:
    """Kinds of fault that may befall a request."""
    method, _, path = line.partition(" ")
    kinds = [*ALWAYS * 3, *("burst",) * 2, *(("too late",) if late else ())]
    if method == "GET" and "list-type=2" in path:
        # Most listings are of little, so they come seldom.
        return [*kinds, "cut", "short", *("stale listing",) * 10]
    if method == "GET":
        return [*kinds, *("cut", "short") * 3]
    # It counts as such where it is that of a put.
    return [*kinds, *("lost answer",) * (10 if method == "PUT" else 5)]
