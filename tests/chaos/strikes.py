"""Finding what a run consists of, and killing it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.chaos.nodes import Nodes
from tests.jobs.corpora import end_group, processes_of

NAMES = {
    "read": "ray::ReadUnits",
    "features": "ray::MapWorker(MapBatches(Features))",
    "model": "ray::MapWorker(MapBatches(Inference))",
    "commit": "ray::MapWorker(MapBatches(Commit))",
    "decoder": "pipeline.isolation.child",
    "raylet": "/raylet/raylet",
    "gcs": "/gcs/gcs_server",
}
"""What a process is -> what its command line has."""
WORKERS = ("read", "features", "model", "commit", "decoder")
NOTICE = 2.0
"""Seconds between a spot notice and the end of its node."""
WAIT = 20.0
"""Seconds in which a process of a kind must be there to be killed."""
FAREWELL = 90.0
"""Seconds in which workers must have noticed that their driver is gone: Ray's agents look for their head for 60."""


class Strikes:
    """All that can be killed of a run: of its own Ray, or of the nodes that it runs on."""

    def __init__(self, driver: subprocess.Popen[str], nodes: Nodes | None, dice: random.Random) -> None:
        self._driver, self._nodes, self._dice = driver, nodes, dice

    def strike(self, kind: str) -> bool:
        """Kill one thing of a kind; False where there is none, or the run is over before."""
        if not self._runs():
            return False
        if kind == "driver":
            os.kill(self._driver.pid, signal.SIGKILL)
            return self._driver.wait() == -signal.SIGKILL
        if kind == "group":
            end_group(self._driver)
            return True
        if kind in ("node", "drain"):
            return self._node(warned=kind == "drain")
        return self._process(kind)

    def _runs(self) -> bool:
        return self._driver.poll() is None

    def _node(self, *, warned: bool) -> bool:
        """Let a new node take the place of one, which dies whether or not the run is over by then."""
        nodes = self._nodes
        assert nodes is not None
        node = self._dice.choice(nodes.working)
        # A node takes up to two minutes to join: the run may end meanwhile.
        nodes.add()
        if warned and self._runs():
            nodes.drain(node, NOTICE)
            time.sleep(NOTICE)
        harmed = self._runs()
        nodes.kill(node)
        return harmed

    def _process(self, kind: str) -> bool:
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline and self._runs():
            found = [each for each in self.processes() if NAMES[kind] in command(each)]
            # To look at all processes takes a moment, in which a run may end.
            if found and self._runs():
                with contextlib.suppress(psutil.NoSuchProcess):
                    self._dice.choice(found).kill()
                    return True
            time.sleep(0.05)
        return False

    def processes(self) -> list[psutil.Process]:
        """What runs for this run, or on its nodes."""
        return self._nodes.everything() if self._nodes else processes_of(self._driver)

    def left(self) -> list[str]:
        """What still runs for this run some time after its driver has ended, and at what; it is killed now."""
        deadline = time.monotonic() + FAREWELL
        while (remaining := self._remaining()) and time.monotonic() < deadline:
            time.sleep(0.1)
        names = list(map(at_work, remaining))
        end_group(self._driver)
        # A driver that is killed takes the folder of its own Ray nowhere.
        for session in Path(tempfile.gettempdir()).glob(f"voxmill-ray-*/session_*_{self._driver.pid}"):
            shutil.rmtree(session.parent, ignore_errors=True)
        return names

    def _remaining(self) -> list[psutil.Process]:
        if self._nodes is None:
            return processes_of(self._driver)
        working = [NAMES[kind] for kind in WORKERS]
        return [each for each in self.processes() if any(name in command(each) for name in working)]


def at_work(process: psutil.Process) -> str:
    """Command line of a process, its age, and where its threads are as far as that can be seen."""
    with contextlib.suppress(psutil.NoSuchProcess):
        stacks = ""
        if spy := shutil.which("py-spy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"):
            told = subprocess.run([spy, "dump", "--pid", str(process.pid)], capture_output=True, text=True, check=False)
            stacks = f"\n{told.stdout}"
        age = time.time() - process.create_time()
        return f"{command(process).strip()} ({process.status()}, {age:.0f} s old){stacks}"
    return ""


def command(process: psutil.Process) -> str:
    """Command line of a process; '' where it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def stopped(driver: subprocess.Popen[str]) -> Callable[[], None]:
    """Hold a driver and its own Ray where they are; what is given lets them go on."""
    held = processes_of(driver)
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()

    def go_on() -> None:
        for process in held:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    return go_on
