"""A head that does not answer any more is noticed; one that is back in time, or only slow to answer, is not gone."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from pipeline.engine.pulse import Pulse
from tests.jobs.corpora import ROOT


def until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def head():
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listening:
        yield listening


def address(head: socket.socket) -> str:
    return "{}:{}".format(*head.getsockname())


def test_a_head_that_listens_is_there(head):
    pulse = Pulse(address(head), every=0.01, lost=0.1)
    time.sleep(0.5)
    assert not pulse.gone
    pulse.end()


def test_a_head_that_is_closed_is_gone_and_may_come_back(head):
    pulse = Pulse(address(head), every=0.01, lost=0.1)
    time.sleep(0.3)
    port = head.getsockname()[1]
    head.close()
    assert until(lambda: pulse.gone)
    with socket.create_server(("127.0.0.1", port), backlog=1000):
        assert until(lambda: not pulse.gone)
    pulse.end()


def test_of_an_address_that_never_answered_nothing_is_said():
    pulse = Pulse("127.0.0.1:1", every=0.01, lost=0.05)
    time.sleep(0.5)
    assert not pulse.gone
    pulse.end()


HANGS = """
import socket, sys, time
from pipeline.engine.pulse import last_words
raylet = socket.create_server(("127.0.0.1", 0), backlog=1000)
say = lambda text: print(text, file=sys.stderr, flush=True)
with last_words("{}:{}".format(*raylet.getsockname()), before=lambda: print("left", flush=True), say=say, last=0.1):
    time.sleep(1)
    if sys.argv[1] == "dies":
        raylet.close()
        time.sleep(60)
raylet.close()
time.sleep(0.5)
"""


@pytest.mark.parametrize(("fate", "code", "printed"), [("dies", 4, "left\n"), ("lives", 0, "")])
def test_a_process_that_waits_for_a_dead_raylet_ends_in_words(fate: str, code: int, printed: str):
    command = [sys.executable, "-c", HANGS, fate]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (code, printed)
    assert ("stopped by a fault: Ray is gone from this machine" in ended.stderr) == (fate == "dies")
