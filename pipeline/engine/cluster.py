"""Joining a Ray cluster or starting a local one, and what it has to offer."""

from __future__ import annotations

import atexit
import math
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import psutil

from pipeline.engine import local
from pipeline.engine.pulse import last_words
from pipeline.engine.resources import Cluster
from pipeline.engine.scratch import Scratch, scratch
from pipeline.errors import StorageFault, UserError
from pipeline.overdue import watched, within
from pipeline.placement import LOCAL, ray_address
from pipeline.quantities import show_seconds
from pipeline.stopping import Stopped
from pipeline.storage.secrets import redact
from pipeline.summary import PARTIAL

CONNECT = 15.0
"""Seconds that a cluster's head may take to accept a connection."""

STARTS = 2
"""Tries to start a local Ray."""

START = 120.0
"""Seconds in which Ray must have started, or answered, and taken this process in. What is its own to wait for takes up
to 45 s; a cluster of which a worker did not come up in time may never take anyone in."""

LEAVE = 30.0
"""Seconds that leaving a cluster may take; a local one ends its processes in less than 10."""

KILL = 2.0
"""Seconds that ending a local Ray's processes may take where the process is about to end itself."""

GRACE = 1.0
"""Seconds that a local Ray's agents have to end with it."""

TRIES_WITHOUT_MEMORY = 3
"""How often Ray repeats a task that it has ended for want of memory, after 1 s, 2 s and 4 s."""

ANSWER = 120.0
"""Seconds in which a node must have started a worker and answered."""

WAIT_FOR_GPUS = 3600.0
"""Seconds that a run waits for an autoscaler before it gives up."""


Hung = Callable[[str, Callable[[], None]], None]
"""Ends this process: what holds it, and what is done last."""


def _aside(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def end(held: str, last: Callable[[], None]) -> None:
    """End it as a run ends that is interrupted."""
    _aside(f"stopped: {held}. The same command goes on")
    last()
    os._exit(PARTIAL)


@contextmanager
def joined(
    address: str | None, *, num_cpus: int | None = None, say: Callable[[str], object] = _aside, hung: Hung = end
) -> Iterator[Scratch]:
    """Have a Ray cluster: the named one, RAY_ADDRESS, or a local one that ends with the block; and its folder.

    Where the cluster is gone and Ray hangs, `say` has the last words; where it hangs as it starts, `hung` has.

    Raises:
        UserError: the cluster does not answer.
        StorageFault: a local one did not start.
    """
    _quiet()
    _bound()
    where = ray_address(address)
    if where == LOCAL:
        local.prepare()
    import ray

    if ray.is_initialized():
        yield Scratch()
    elif where == LOCAL:
        with scratch() as own:
            with _stoppable_start():
                _start(own, num_cpus, hung)
            with _left(local.started_agents(), say):
                yield own
    else:
        _check_answers(where)
        try:
            with _stoppable_start(), _bounded_start(Scratch(), hung):
                ray.init(address=where, **local.SILENT)
        except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
            raise UserError(_no_cluster(where, str(error).partition("\n")[0])) from error
        with _left([], say):
            yield Scratch()


def _start(own: Scratch, num_cpus: int | None, hung: Hung) -> None:
    """Start a local Ray.

    Raises:
        StorageFault: it did not start, which is no mistake of the user's.
    """
    for left in reversed(range(STARTS)):
        try:
            with _bounded_start(own, hung):
                local.start(own, num_cpus)
        # On a machine that is too busy Ray says so with an exception of no class: its agents must be up in 15 s.
        except Exception as error:  # noqa: BLE001
            _leave()
            local.end_started(own)
            if left:
                continue
            logs = own.keep()
            more = f"; its logs are in {logs}" if logs else ""
            reason = str(error).partition("\n")[0]
            raise StorageFault(
                f"Ray did not start on this machine ({reason}){more}. Run the same command again."
            ) from error
        else:
            return


@contextmanager
def _left(agents: Sequence[psutil.Process], say: Callable[[str], object]) -> Iterator[None]:
    def end() -> None:
        within(KILL, local.kill_node)
        # Ray itself ends this process about now, and there are words to be said first.
        local.end_agents(agents, grace=0.0)

    try:
        # Not around the end: a raylet that goes then goes as it should.
        with last_words(raylet_address(), before=end, say=say):
            yield
    finally:
        _leave()
        local.end_agents(agents, grace=GRACE)


def _leave() -> None:
    """Leave the cluster, or end the local one; where that hangs the process ends without it."""
    import ray

    if not within(LEAVE, ray.shutdown):
        # Ray would try again when the interpreter ends, and hang again.
        atexit.unregister(ray.shutdown)
        within(LEAVE, local.kill_node)


@contextmanager
def _bounded_start(own: Scratch, hung: Hung) -> Iterator[None]:
    """Nothing but the end of this process ends what hangs in Ray's own code.

    Where that lets no thread of Python run, `watched` ends it a minute later, with code 1 and without these words.
    """
    held = f"held by Ray, which neither started nor failed to within {show_seconds(START)}"
    with watched(START, lambda: hung(held, lambda: local.end_started(own))):
        yield


@contextmanager
def _stoppable_start() -> Iterator[None]:
    """Ray puts a handler of SIGTERM in place that ends the process without a word; keep the one that was there."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as left:
        raise Stopped("by SIGTERM") from left
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _check_answers(where: str) -> None:
    """Ask whether anything listens there: Ray itself would try for minutes and then end the process."""
    host, _, port = where.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()
    except OSError as error:
        raise UserError(_no_cluster(where, error.strerror or str(error))) from error


def _no_cluster(where: str, reason: str) -> str:
    return redact(f"{where}: no Ray cluster answers there ({reason}); check --address or RAY_ADDRESS")


def _quiet() -> None:
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    # Ray's wish to see its own bars, its notice about accelerators and its usage statistics are no news to a user.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


def _bound() -> None:
    """Set what Ray reads when a process joins it; what the user has set stays."""
    # Tasks that Ray ends because a machine runs out of memory it would begin anew without end.
    os.environ.setdefault("RAY_task_oom_retries", str(TRIES_WITHOUT_MEMORY))
    # After so many seconds without its head Ray ends the driver, whatever it is about: time to end by itself.
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", "300")


def measure() -> Cluster:
    """CPUs, GPUs and memory of the joined cluster; a head that does no work has no CPUs, and is no node of it."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    return Cluster(
        cpus=sum(float(node["CPU"]) for node in nodes),
        gpus=sum(float(node.get("GPU", 0)) for node in nodes),
        memory=sum(int(node.get("memory", 0)) for node in nodes),
        nodes=max(1, len(nodes)),
        node_cpus=tuple(float(node["CPU"]) for node in nodes),
    )


def head_address() -> str | None:
    """Where the cluster's head listens; None where none is joined."""
    import ray

    return str(ray.get_runtime_context().gcs_address) if ray.is_initialized() else None


def raylet_address() -> str | None:
    """Where this machine's part of the cluster listens; None where none is joined."""
    from ray._private import worker

    node = worker._global_node
    return f"{node.node_ip_address}:{node.node_manager_port}" if node else None


def num_nodes() -> int:
    """Machines that are alive."""
    import ray

    return sum(bool(node["Alive"]) for node in ray.nodes())


@contextmanager
def gpus(
    count: float, *, say: Callable[[str], None], timeout: float = WAIT_FOR_GPUS, pause: float = 5.0
) -> Iterator[None]:
    """Have the cluster so many GPUs while the block runs; an autoscaler is asked for those that it lacks.

    Raises:
        StorageFault: they did not come in time, though they may yet.
    """
    import ray
    from ray.autoscaler.sdk import request_resources

    if ray.cluster_resources().get("GPU", 0.0) >= count:
        yield
        return
    try:
        _wait_for_gpus(count, say=say, timeout=timeout, pause=pause)
        yield
    finally:
        # Ray keeps a request for good, and pays for its nodes, until another takes its place; a cluster that is gone
        # keeps none.
        within(LEAVE, lambda: request_resources(bundles=[]))


def _wait_for_gpus(count: float, *, say: Callable[[str], None], timeout: float, pause: float) -> None:
    import ray
    from ray.autoscaler.sdk import request_resources

    deadline = time.monotonic() + timeout
    while (have := ray.cluster_resources().get("GPU", 0.0)) < count:
        say(f"waiting for GPUs: the cluster has {have:g} of {count:g}")
        # Again each time: a cluster keeps one request, and the end of another run takes it back.
        request_resources(bundles=[{"GPU": 1, "CPU": 1}] * math.ceil(count))
        if time.monotonic() > deadline:
            raise StorageFault(
                f"the cluster has {have:g} GPUs after {timeout:.0f} s of waiting, --gpus asks for {count:g}; "
                "run the same command again once it has them, or ask for fewer"
            )
        time.sleep(pause)


def gpu_memory() -> int | None:
    """Bytes of a GPU of the cluster; None where no worker tells."""
    import ray

    try:
        asked = ray.remote(num_gpus=0.01, num_cpus=0)(_gpu_memory_here).remote()
        return int(ray.get(asked, timeout=ANSWER))
    except (ray.exceptions.RayError, TimeoutError, RuntimeError):
        return None


def _gpu_memory_here() -> int:
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def check_versions() -> None:
    """Compare Python, Ray and torch of every node with the driver's.

    Raises:
        UserError: a node differs, with its address and both versions.
        StorageFault: a node is there and does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from pipeline.engine import faults

    remote = ray.remote(num_cpus=0)(versions_here)
    asked = {
        node: remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote()
        for node in _nodes()
    }
    told = {}
    for node, answer in asked.items():
        try:
            told[node] = ray.get(answer, timeout=ANSWER)
        except ray.exceptions.RayError as error:
            # Of a node that has died since nothing is asked any more.
            if address := _nodes().get(node):
                raise StorageFault(
                    f"node {address} does not tell its versions ({faults.reason(error)}); end it if it stays so, and "
                    "run the same command again"
                ) from error
    where = _nodes()
    differences = compare_versions(
        versions_here(), {where[node]: versions for node, versions in told.items() if node in where}
    )
    if differences:
        raise UserError("; ".join(differences) + ". Give driver and workers one image.")


def _nodes() -> dict[str, str]:
    """Addresses of the nodes that are alive, by their ids."""
    import ray

    return {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}


def compare_versions(driver: dict[str, str], workers: dict[str, dict[str, str]]) -> list[str]:
    """One sentence for each difference that changes results or breaks messages between processes."""
    return [
        f"node {where} has {name} {theirs.get(name)}, the driver {ours}"
        for where, theirs in workers.items()
        for name, ours in driver.items()
        if theirs.get(name) != ours
    ]


def versions_here() -> dict[str, str]:
    """Versions of this process that must agree everywhere."""
    import ray
    import torch

    import pipeline

    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "ray": ray.__version__,
        "torch": torch.__version__.split("+")[0],
        "voxmill": pipeline.__version__,
    }
