"""A run ends cleanly on the signals that ask it to."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pipeline import cli, stopping
from pipeline.stopping import Stopped, stoppable
from pipeline.storage import patience
from pipeline.storage.put import put
from tests.jobs.corpora import MODEL

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.fixture(autouse=True)
def mine() -> Iterator[None]:
    """Handlers that a test can tell from all others, and that survive a signal."""
    before = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_the_block_and_says_which(number: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(Stopped, match=f"^by {number.name}$"), stoppable():
        signal.raise_signal(number)
    assert handlers() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_the_same_signal_again_does_not_interrupt_the_clean_end(number: signal.Signals) -> None:
    ended = []

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)
            ended.append("clean")

    with pytest.raises(Stopped), stoppable():
        work()
    assert ended == ["clean"]


def test_no_handler_of_errors_swallows_it() -> None:
    assert not issubclass(Stopped, Exception)


@pytest.mark.parametrize("error", [None, ValueError("made up")])
def test_handlers_come_back_however_the_block_ends(error: Exception | None) -> None:
    before = handlers()
    try:
        with stoppable():
            assert all(one is not other for one, other in zip(handlers(), before, strict=True))
            if error:
                raise error
    except ValueError:
        pass
    assert handlers() == before


def test_another_thread_leaves_the_handlers_alone() -> None:
    def inside() -> list[object]:
        with stoppable():
            return handlers()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == handlers()


def twice(ended: list[str]) -> None:
    """Stopped in an inner block, and again by another signal at its end."""
    try:
        with stoppable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.raise_signal(signal.SIGINT)
        ended.append("clean")


def test_a_signal_in_the_block_around_does_not_interrupt_the_clean_end_either() -> None:
    ended: list[str] = []
    with pytest.raises(Stopped, match="SIGTERM"), stoppable():
        twice(ended)
    assert ended == ["clean"]


def test_a_later_signal_cuts_the_clean_end_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "GRACE", 0.0)
    ended: list[str] = []
    with pytest.raises(Stopped, match="SIGINT"), stoppable():
        twice(ended)
    assert ended == []


def test_a_signal_that_was_lost_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "LOST", 0.0)
    with stoppable():
        stopping.check()
        with contextlib.suppress(Stopped):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Stopped, match="^by SIGTERM$"):
            stopping.check()
    stopping.check()


def test_a_busy_store_does_not_hold_up_the_end(
    s3_proxy: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("FIRST", "LONGEST", "LASTING"):
        monkeypatch.setattr(patience, name, 20.0)
    put(f"{s3_proxy.bucket.uri}/one/a.flac", b"x")
    s3_proxy.refuse("two", status=503, code="SlowDown")
    asked = []

    def ask() -> None:
        while not any("two" in line for line in s3_proxy.requests):
            time.sleep(0.05)
        time.sleep(0.3)
        asked.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=ask, daemon=True).start()
    sources = [f"{s3_proxy.bucket.uri}/{name}" for name in ("one", "two")]
    code = cli.main(["transcribe", *sources, f"{s3_proxy.bucket.uri}/out", "--model", MODEL, "--device", "cpu"])
    assert time.monotonic() - asked[0] < 8, "of the 20 s that the store is waited for"
    assert code == 4
    assert "stopped by SIGTERM: what is committed stays" in capfd.readouterr().err


def test_the_clean_end_waits_for_its_second_try() -> None:
    with contextlib.suppress(Stopped), stoppable():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            assert stopping.waited(0.0)
            with ThreadPoolExecutor(1) as pool:
                assert not pool.submit(stopping.waited, 20.0).result()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(stopping.waited, 0.0).result()
