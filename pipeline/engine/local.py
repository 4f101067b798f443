"""A Ray of this process's own: how it is started, and how all of it ends."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psutil

from pipeline.engine.scratch import Scratch
from pipeline.placement import LOCAL

OBJECT_STORE = 2 << 30
"""Bytes of shared memory for a local Ray: a few units on their way, whatever the machine's memory."""

SILENT: Final[dict[str, Any]] = {"log_to_driver": False, "logging_level": logging.ERROR}
"""Options of `ray.init` for a driver that has a display of its own."""


def prepare() -> None:
    """Set what a local Ray takes from the environment."""
    # It would leave ~/.ray/auth_token behind, and later clusters of this user would then ask for it. The mode is
    # not set: a Ray that is imported has read it already, and chooses tokens where nothing is said.
    if not any(f"RAY_AUTH_{name}" in os.environ for name in ("MODE", "TOKEN", "TOKEN_PATH")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # It would take no driver in before as many workers as it has CPUs have registered, and where one of them has not
    # within a minute, on a machine that is busy or slept, it never would.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    _make_importable()


def start(own: Scratch, num_cpus: int | None) -> None:
    """Start it, with its files in a folder; raises whatever Ray does."""
    import ray

    with _apart():
        ray.init(**_options(num_cpus, own), **SILENT)


def started_agents() -> list[psutil.Process]:
    """What the raylet of a local Ray has started; without a head some of it stays for more than 90 s."""
    from ray._private import worker

    node: Any = worker._global_node
    found: list[psutil.Process] = []
    for each in itertools.chain.from_iterable(node.all_processes.values()):
        with contextlib.suppress(psutil.Error):
            found += psutil.Process(each.process.pid).children(recursive=True)
    return found


def end_agents(agents: Sequence[psutil.Process], *, grace: float) -> None:
    """Give agents so many seconds to end by themselves, and kill those that have not."""
    for each in psutil.wait_procs(agents, timeout=grace)[1]:
        with contextlib.suppress(psutil.Error):
            each.kill()


def end_started(own: Scratch) -> None:
    """Kill what a start that failed has left: Ray itself does so when this process ends."""
    found: list[psutil.Process] = []
    for each in psutil.Process().children(recursive=True) if own.folder else ():
        with contextlib.suppress(psutil.Error):
            if str(own.folder) in " ".join(each.cmdline()):
                # Its agents have other names.
                found += [each, *each.children(recursive=True)]
    # Found first: without its raylet Ray ends this process about now, with a code of its own.
    for each in found:
        with contextlib.suppress(psutil.Error):
            each.kill()


def kill_node() -> None:
    """End what this process has started of a local Ray; there is nothing of one that was only joined."""
    from ray._private import worker

    if node := worker._global_node:
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def _options(num_cpus: int | None, own: Scratch) -> dict[str, Any]:
    store = int(os.environ.get("VOXMILL_OBJECT_STORE_BYTES", OBJECT_STORE))
    return {
        "_temp_dir": str(own.folder) if own.folder else None,
        "address": LOCAL,
        "num_cpus": num_cpus,
        "include_dashboard": False,
        "object_store_memory": store,
    }


@contextmanager
def _apart() -> Iterator[None]:
    """Have a local Ray's processes in groups of their own: `timeout`, or a terminal, signals the whole group of a job.

    Its raylet would go at once, and the driver, which is to end it, would hang in a cluster that is not there.
    """
    from ray._private import services as installed

    services: Any = installed
    before = services.ConsolePopen
    services.ConsolePopen = functools.partial(before, process_group=0)
    try:
        yield
    finally:
        services.ConsolePopen = before


def _make_importable() -> None:
    """Let workers of a local Ray import this package where it was not installed."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if root not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([root, *filter(None, paths)])
