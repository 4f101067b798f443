"""Where the model runs, and how a run is told that its cluster failed."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    ObjectLostError,
    OutOfDiskError,
    OutOfMemoryError,
    RayTaskError,
)

from pipeline import config
from pipeline.engine import actors, dataset
from pipeline.engine import session as sessions
from pipeline.engine.memory import Largest, needs
from pipeline.engine.pulse import Pulse
from pipeline.engine.resources import Cluster, choose
from pipeline.engine.scratch import Scratch
from pipeline.engine.session import Session
from pipeline.engine.teams import Team
from pipeline.errors import StorageFault, UserError
from pipeline.job import Work
from pipeline.plan import UnitRef
from tests.jobs.corpora import MODEL

SIZES = {"e": 7_000_000}
"""Of a model."""
UNITS = [Work(UnitRef("u", 1, 0, 0, 9, 3600.0, 50_000_000), ("transcribe",))]


def held(unit: UnitRef) -> int:
    return unit.size


def session(**settings: Any) -> Session:
    cluster = Cluster(cpus=4)
    pools = choose(cluster, gpus_per_actor=None, model_bytes=7_000_000)
    return Session(cluster, pools, "cpu", **{"local": True, "nodes": 1, "stall": 60.0, **settings})


def test_a_session_describes_itself():
    assert session().describe() == "local Ray, 4 CPUs, no GPU"
    assert session(local=False, nodes=3).describe() == "Ray cluster of 3 nodes, 4 CPUs, no GPU"
    assert session().workers == {"read": 2, "features": 1, "model": 4, "commit": 2}


INIT = RayTaskError(
    "MapWorker.__init__",
    '\x1b[36mray::MapWorker.__init__()\x1b[39m (pid=7)\n  File "/x/stages.py", line 61, in __init__\n    load()\n'
    "RuntimeError: CUDA out of memory",
    RuntimeError("CUDA out of memory"),
)


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (ActorDiedError(INIT), "RuntimeError: CUDA out of memory$"),
        (OutOfMemoryError("Task was killed due to the node running low on memory.\nMemory on the node was"),
         "Task was killed due to the node running low on memory.$"),
        (ObjectLostError("0f", None, ""), "Failed to retrieve object 0f"),
        (TimeoutError(""), "TimeoutError$"),
    ],
)  # fmt: skip
def test_a_failed_cluster_is_a_fault_in_one_line_with_its_reason(monkeypatch, raised, reason):
    def failing(*arguments, **settings):
        yield "a receipt"
        raise raised

    monkeypatch.setattr(dataset, "receipts", failing)
    receipts = session().receipts(SimpleNamespace(run="r"), [], {"h": Path(MODEL)})
    assert next(receipts) == "a receipt"
    with pytest.raises(StorageFault, match=f"^the cluster stopped the run: {reason}") as fault:
        next(receipts)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(("dies", "says"), [(0, "the head of the cluster is gone"), (1, "Ray is gone from this mach")])
def test_a_run_that_loses_its_cluster_ends_at_once_and_asks_it_for_nothing(monkeypatch, dies, says):
    there = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    head, raylet = ("{}:{}".format(*each.getsockname()) for each in there)
    never, asked = threading.Event(), []

    def hanging(*arguments, **settings):
        yield "a receipt"
        never.wait(30)

    monkeypatch.setattr(dataset, "receipts", hanging)
    monkeypatch.setattr(sessions, "Pulse", lambda where, **often: Pulse(where, every=0.02, lost=0.1))
    monkeypatch.setattr(sessions.cluster, "head_address", lambda: head)
    monkeypatch.setattr(sessions.cluster, "raylet_address", lambda: raylet)
    monkeypatch.setattr(actors, "deaths", lambda: asked.append("deaths") or Counter())
    monkeypatch.setattr(actors, "kill_left", lambda: asked.append("kill_left"))
    monkeypatch.setattr(sessions, "_look", lambda run: None)
    receipts = session().receipts(SimpleNamespace(run="r"), [], {"h": Path(MODEL)})
    assert next(receipts) == "a receipt"
    time.sleep(0.2)
    there[dies].close()
    with pytest.raises(StorageFault, match=says):
        next(receipts)
    assert asked == ["deaths"], "once, when it began"
    never.set()
    there[1 - dies].close()


def test_a_bug_stays_a_bug(monkeypatch):
    def failing(*arguments, **settings):
        raise ZeroDivisionError("a bug")
        yield

    monkeypatch.setattr(dataset, "receipts", failing)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        next(session().receipts(SimpleNamespace(run="r"), [], {"h": Path(MODEL)}))


def test_a_checkpoint_for_which_no_disk_has_room_is_a_fault(monkeypatch):
    def full(*arguments, **settings):
        raise OutOfDiskError("Local disk is full")

    monkeypatch.setattr(sessions.shipping, "ship", full)
    with pytest.raises(StorageFault, match="^the cluster stopped the run: Local disk is full"):
        next(session().receipts(SimpleNamespace(run="r"), [], {"h": Path(MODEL)}))


def late():
    raise GetTimeoutError("Get timed out: some object(s) not ready.")


def broken():
    raise RuntimeError("Failed to get the nodes")


OURS = {"__name__": "pipeline.engine.cluster"}
exec("def bug():\n    raise RuntimeError('dictionary changed size during iteration')", OURS)


@pytest.mark.parametrize(
    ("asked", "raised", "told"),
    [
        (late, StorageFault, "the cluster stopped the run: Get timed out: some"),
        (broken, StorageFault, "the cluster stopped the run: Failed to get the nodes"),
        (OURS["bug"], RuntimeError, "dictionary changed"),
        (dict, RuntimeError, "of who has joined it"),
    ],
)
def test_a_cluster_that_fails_before_the_work_is_a_fault_and_a_bug_is_none(monkeypatch, asked, raised, told):
    monkeypatch.setattr(
        sessions.cluster, "joined", lambda address, num_cpus, say, hung: contextlib.nullcontext(Scratch())
    )
    monkeypatch.setattr(sessions.cluster, "measure", lambda: Cluster(cpus=4))
    monkeypatch.setattr(sessions.cluster, "num_nodes", lambda: 2)
    monkeypatch.setattr(sessions.cluster, "check_versions", asked)
    with (
        pytest.raises(raised, match=f"^{told}"),
        sessions.opened(config.make({"device": "cpu"}), sizes=SIZES, units=UNITS, held=held, say=print),
    ):
        raise RuntimeError("of who has joined it")


def test_a_session_joins_a_ray_that_runs_already_and_leaves_it_running(ray_cluster):
    import ray

    with sessions.opened(config.make({"device": "cpu"}), sizes=SIZES, units=UNITS, held=held, say=print) as opened:
        assert (opened.cluster.cpus, opened.nodes, opened.device) == (4, 1, "cpu")
        assert opened.pools.cpus <= 4
    assert ray.is_initialized()


def test_workers_of_several_nodes_leave_room_on_each(ray_cluster, monkeypatch):
    four = Cluster(cpus=4, nodes=4, memory=1 << 50)
    monkeypatch.setattr(sessions.cluster, "measure", lambda: four)
    with sessions.opened(config.make({"device": "cpu"}), sizes=SIZES, units=UNITS, held=held, say=print) as opened:
        assert opened.pools == choose(
            four, gpus_per_actor=None, model_bytes=7_000_000,
            teams=[Team(("e",), 7_000_000)], needs=needs(Largest(50_000_000, 3600.0), [7_000_000], gpu=False),
        )  # fmt: skip


@pytest.mark.parametrize(("asked", "used"), [(None, 8), (4, 4)])
def test_no_more_gpus_are_used_than_were_asked_for(ray_cluster, monkeypatch, asked, used):
    found = Cluster(cpus=64, gpus=8)
    monkeypatch.setattr(sessions.cluster, "measure", lambda: found)
    monkeypatch.setattr(sessions.cluster, "gpus", lambda count, say: contextlib.nullcontext())
    with sessions.opened(config.make({"gpus": asked}), sizes={"e": 1}, units=UNITS, held=held, say=print) as opened:
        assert (opened.device, opened.cluster, opened.pools.model_actors) == ("cuda", found, used)


def test_pools_that_do_not_fit_are_refused_before_any_work(ray_cluster):
    asked = config.make({"device": "cpu", "model_actors": 14})
    with (
        pytest.raises(UserError, match="the cluster has 4, and a stage without a place would wait for ever"),
        sessions.opened(asked, sizes=SIZES, units=UNITS, held=held, say=print),
    ):
        pass


def test_what_is_waited_for_of_storage_is_watched(ray_cluster, monkeypatch):
    watched = []

    @contextlib.contextmanager
    def watch(doing):
        watched.append(doing)
        yield
        watched.append("")

    def looked(unit):
        assert watched == ["looking at the plan"]
        return unit.size

    def shipped(*given, **more):
        assert watched[2:] == ["reading the checkpoint"]
        raise OutOfDiskError("seen")

    asked = config.make({"device": "cpu"})
    monkeypatch.setattr(sessions.shipping, "ship", shipped)
    with sessions.opened(asked, sizes=SIZES, units=UNITS, held=looked, say=print, watch=watch) as opened:
        assert watched == ["looking at the plan", ""]
        with pytest.raises(StorageFault, match="seen"):
            next(opened.receipts(SimpleNamespace(run="r"), [], {"h": Path(MODEL)}))
