"""A strike counts where the run was there to be struck."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.chaos import strikes
from tests.chaos.strikes import Strikes


class Driver:
    """In place of a driver: runs until it is told that it is over."""

    over = False

    def poll(self) -> int | None:
        return 0 if self.over else None


class Cluster:
    """In place of two nodes: the driver is over once one of its ways was gone."""

    def __init__(self, driver: Driver, ends_in: str) -> None:
        self.driver, self.ends_in = driver, ends_in
        self.working = ["old", "older"]
        self.done: list[str] = []

    def _do(self, what: str) -> None:
        self.done.append(what)
        self.driver.over |= what == self.ends_in

    def add(self) -> None:
        self.working.append("new")
        self._do("add")

    def drain(self, node: str, seconds: float) -> None:
        self._do("drain")

    def kill(self, node: str) -> None:
        self.working.remove(node)
        self._do("kill")

    def everything(self) -> list[Any]:
        self._do("everything")
        return [Process()]


class Process:
    """In place of a worker."""

    def cmdline(self) -> list[str]:
        return ["ray::ReadUnits"]

    def kill(self) -> None:
        pass


@pytest.mark.parametrize(
    ("kind", "ends_in", "counts", "done"),
    [
        ("node", "", True, ["add", "kill"]),
        ("node", "add", False, ["add", "kill"]),
        ("drain", "", True, ["add", "drain", "kill"]),
        ("drain", "add", False, ["add", "kill"]),
        ("drain", "drain", False, ["add", "drain", "kill"]),
        ("read", "", True, ["everything"]),
        ("read", "everything", False, ["everything"]),
    ],
)
def test_a_kill_counts_where_the_run_is_not_over_by_then(
    kind: str, ends_in: str, counts: bool, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strikes, "NOTICE", 0.0)
    driver: Any = Driver()
    nodes: Any = Cluster(driver, ends_in)
    assert Strikes(driver, nodes, random.Random(1)).strike(kind) is counts
    assert nodes.done == done
    assert len(nodes.working) == 2


@pytest.mark.parametrize(("program", "counts"), [("input()", True), ("print(flush=True)", False)])
def test_a_driver_that_ends_by_itself_is_not_killed(program: str, counts: bool) -> None:
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        if not counts:
            assert driver.stdout is not None
            # Its end comes between the question whether it runs and the kill.
            driver.stdout.read()
            wait = driver.wait
            driver.poll = lambda: None  # type: ignore[method-assign]
            driver.wait = lambda *_: wait()  # type: ignore[method-assign]
        assert Strikes(driver, None, random.Random(1)).strike("driver") is counts
        assert (driver.returncode == -signal.SIGKILL) is counts
