"""A Ray cluster of several nodes on this machine, whose nodes can die, or be told that they will."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

from tests.jobs.corpora import ROOT

CPUS, GPUS = 2, 1
"""Of each node that does work, whatever the machine has."""
PATIENCE = 120.0
"""Seconds in which a node must have joined, on a busy machine."""
TRIES = 4
"""Of starting a node."""
STORE = 100 << 20
"""Bytes of each node's object store."""


class Nodes:
    """A head that does no work, and nodes that do; what they write down is in a folder of theirs."""

    def __init__(self, count: int, folder: Path) -> None:
        self.folder = folder
        self._cluster = Cluster(shutdown_at_exit=False)
        _patiently(lambda: self._cluster.add_node(num_cpus=0, object_store_memory=STORE, include_dashboard=False))
        for _ in range(count):
            self.add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    @property
    def working(self) -> list[Any]:
        return sorted(self._cluster.worker_nodes, key=lambda node: node.node_id)

    def add(self) -> None:
        what = {"num_cpus": CPUS, "num_gpus": GPUS, "object_store_memory": STORE}
        node = _patiently(lambda: self._cluster.add_node(wait=False, **what))
        self._cluster._wait_for_node(node, PATIENCE)

    def kill(self, node: Any) -> None:
        """As if the machine had lost its power: no process of it does anything any more."""
        processes = self.processes(node)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def drain(self, node: Any, seconds: float) -> None:
        """Tell the cluster what a spot notice tells: the node will be gone in so many seconds."""
        from ray._raylet import GcsClient

        deadline = int(1000 * (time.time() + seconds))
        accepted, why = GcsClient(address=self.address).drain_node(
            node.node_id, autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION, "made up spot notice", deadline
        )
        assert accepted, why

    def processes(self, node: Any) -> list[psutil.Process]:
        """Everything that runs on a node."""
        found = []
        for info in (info for infos in node.all_processes.values() for info in infos):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(info.process.pid)
                found += [process, *process.children(recursive=True)]
        return found

    def everything(self) -> list[psutil.Process]:
        return [process for node in self._cluster.list_all_nodes() for process in self.processes(node)]

    def end(self) -> None:
        for node in self.working:
            self.kill(node)
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)


def _patiently(start: Callable[[], Any]) -> Any:
    """Start a node again where it takes longer than Ray waits, as it does on a busy machine."""
    us = psutil.Process()
    for tries in range(TRIES):
        before = set(us.children(recursive=True))
        # What Ray holds of processes that are killed here would warn as garbage that nobody has waited for them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                return start()
            # Ray says so with an exception of no class.
            except Exception:
                for process in set(us.children(recursive=True)) - before:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                if tries + 1 == TRIES:
                    raise
            gc.collect()
    raise AssertionError


@contextlib.contextmanager
def cluster(count: int) -> Iterator[Nodes]:
    """A cluster that shares nothing with any other Ray of this machine, and ends with the block."""
    # Sockets have short names. Workers inherit what the raylets have: those of an ordinary machine.
    folder = tempfile.mkdtemp(prefix="rays-")
    ours = {
        "RAY_TMPDIR": folder, "HOME": folder, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled",
        "RAY_worker_niceness": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_USAGE_STATS_ENABLED": "0",
        # A node that is dead is noticed within 3 s, not half a minute.
        "RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "5", "RAY_health_check_initial_delay_ms": "1000",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        nodes = Nodes(count, Path(folder))
        try:
            yield nodes
        finally:
            nodes.end()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        shutil.rmtree(folder, ignore_errors=True)
