"""Joining a cluster: which one, what it must have, and what a user reads when it does not."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
import ray
import ray.autoscaler.sdk

from pipeline.engine import cluster
from pipeline.engine.resources import Cluster
from pipeline.errors import StorageFault, UserError
from pipeline.stopping import Stopped
from tests.jobs.corpora import ROOT, environment

HERE = {"python": "3.11", "ray": "2.60.0", "torch": "2.13.0", "voxmill": "0.1.0"}


def test_equal_versions_say_nothing():
    assert cluster.compare_versions(HERE, {"10.0.0.1": dict(HERE), "10.0.0.2": dict(HERE)}) == []


@pytest.mark.parametrize("name", HERE)
def test_every_difference_names_node_and_both_versions(name):
    other = HERE | {name: "9.9"}
    assert cluster.compare_versions(HERE, {"10.0.0.1": dict(HERE), "10.0.0.2": other}) == [
        f"node 10.0.0.2 has {name} 9.9, the driver {HERE[name]}"
    ]


def test_a_node_that_lacks_a_package_differs():
    assert cluster.compare_versions({"torch": "2.13.0"}, {"n": {}}) == ["node n has torch None, the driver 2.13.0"]


def test_versions_of_a_real_cluster_are_compared(ray_cluster, monkeypatch):
    cluster.check_versions()
    monkeypatch.setattr(cluster, "versions_here", lambda: HERE | {"torch": "1.0"})
    # A function that came from here would be the patched one on the workers too.
    monkeypatch.setattr(ray, "remote", lambda **_: lambda function: remote_with(HERE))
    with pytest.raises(UserError, match=r"has torch 2.13.0, the driver 1.0. Give driver and workers one image."):
        cluster.check_versions()


def remote_with(answer):
    class Remote:
        def options(self, **_):
            return self

        def remote(self):
            return ray.put(answer)

    return Remote()


def test_nodes_that_do_work_are_measured_and_no_others(ray_cluster, monkeypatch):
    assert cluster.measure().node_cpus == (4.0,)
    head, dead = {"memory": 9.0}, {"CPU": 64.0, "GPU": 8.0, "memory": 9.0}
    has = [(True, head), (True, {"CPU": 2.0, "GPU": 1.0, "memory": 3.0}), (False, dead), (True, {"CPU": 6.0})]
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": alive, "Resources": each} for alive, each in has])
    assert cluster.measure() == Cluster(cpus=8.0, gpus=1.0, memory=3, nodes=2, node_cpus=(2.0, 6.0))


ASKED, NOTHING = {"bundles": [{"GPU": 1, "CPU": 1}] * 2}, {"bundles": []}


@pytest.fixture
def asked(monkeypatch):
    """What the autoscaler was asked for."""
    asked = []
    monkeypatch.setattr(ray.autoscaler.sdk, "request_resources", lambda **request: asked.append(request))
    return asked


def test_waiting_for_gpus_asks_the_autoscaler_says_so_and_takes_it_back(monkeypatch, asked):
    said, have = [], iter([0.0, 0.0, 1.0, 2.0])
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": next(have)})
    with cluster.gpus(2, say=said.append, pause=0.0):
        # A cluster keeps one request: the end of another run takes it back.
        assert asked == [ASKED] * 2
    assert asked == [ASKED, ASKED, NOTHING]
    assert said == [f"waiting for GPUs: the cluster has {have} of 2" for have in (0, 1)]


def test_gpus_that_are_there_are_not_asked_for(monkeypatch, asked):
    said = []
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": 4.0})
    with cluster.gpus(2, say=said.append):
        pass
    assert (asked, said) == ([], [])


@pytest.mark.parametrize("asks", [[], [RuntimeError("Failed to get the nodes")]])
def test_gpus_that_do_not_come_end_the_waiting_as_a_fault_and_are_asked_for_no_more(monkeypatch, asked, asks):
    def resources():
        if asked and asks:
            raise asks[0]
        return {"CPU": 8.0}

    monkeypatch.setattr(ray, "cluster_resources", resources)
    told = "the cluster has 0 GPUs after 0 s of waiting, --gpus asks for 2; run the same|Failed to get the nodes"
    with (
        pytest.raises(RuntimeError if asks else StorageFault, match=told),
        cluster.gpus(2, say=lambda _: None, timeout=60.0 if asks else 0.0, pause=0.0),
    ):
        pass
    assert asked == [ASKED, NOTHING]


def test_a_run_that_fails_asks_for_no_gpus_any_more(monkeypatch, asked):
    have = iter([0.0, 0.0, 2.0])
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"GPU": next(have)})
    with pytest.raises(ZeroDivisionError), cluster.gpus(2, say=lambda _: None, pause=0.0):
        raise ZeroDivisionError
    assert asked == [ASKED, NOTHING]


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_does_not_answer_is_one_line_at_once(monkeypatch, scheme):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray would try for minutes"))
        with (
            pytest.raises(
                UserError, match=f"^{address}: no Ray cluster answers there .Connection refused.; check --addr"
            ),
            cluster.joined(address),
        ):
            pass


def test_what_ray_says_of_a_cluster_is_one_line(monkeypatch):
    def refused(**_):
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify the one to connect to")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refused)
    with (
        pytest.raises(
            UserError, match=r"auto: no Ray cluster answers there \(Could not find any running Ray instance.\);"
        ),
        cluster.joined("auto"),
    ):
        pass


def test_a_local_ray_that_does_not_start_is_no_mistake_of_the_user_and_its_logs_are_named(monkeypatch):
    def late(**given):
        given_folder.append(given["_temp_dir"])
        raise Exception("The current node timed out during startup. This could\nbe")

    given_folder: list[str] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", late)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    with (
        pytest.raises(StorageFault, match=r"timed out during startup. This could\); its logs are in .*/logs\. Run the"),
        cluster.joined("local"),
    ):
        pass
    assert len(given_folder) == cluster.STARTS
    assert os.path.isdir(given_folder[0])
    shutil.rmtree(given_folder[0])


def started_and_terminated():
    """What `ray.init()` does to the handler, and a signal then."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_while_ray_starts_ends_the_run_as_any_other():
    def ours(number: int, frame: object) -> None:
        raise AssertionError("Ray's handler is in place")

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with pytest.raises(Stopped, match="by SIGTERM"), cluster._stoppable_start():
            started_and_terminated()
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_cluster_that_cannot_be_left_does_not_hold_up_the_end(monkeypatch):
    never, forgotten = threading.Event(), []
    monkeypatch.setattr(cluster, "LEAVE", 0.1)
    monkeypatch.setattr(ray, "shutdown", lambda: never.wait(30))
    monkeypatch.setattr(cluster.atexit, "unregister", forgotten.append)
    monkeypatch.setattr(cluster.local, "kill_node", lambda: forgotten.append("processes"))
    cluster._leave()
    assert forgotten == [ray.shutdown, "processes"]
    never.set()


WITHOUT_MEMORY = """
import time, ray
from pipeline.engine.cluster import joined

@ray.remote(max_retries=1)
def task():
    time.sleep(300)

with joined(None, num_cpus=1):
    try:
        ray.get(task.remote(), timeout=150)
    except ray.exceptions.RayError as error:
        print(type(error).__name__)
"""


@pytest.mark.slow
def test_a_task_that_is_ended_for_want_of_memory_each_time_is_not_begun_without_end(tmp_path):
    kills = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "100"}
    variables = environment(tmp_path, PYTHONPATH=str(ROOT), **kills)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], env=variables, capture_output=True, text=True, timeout=260, check=False
    )
    assert done.stdout.splitlines()[-1:] == ["OutOfMemoryError"], done.stdout + done.stderr[-2000:]


def test_a_node_that_dies_while_versions_are_compared_is_not_asked(ray_cluster, monkeypatch):
    alive = cluster._nodes()
    looks = iter([{**alive, "a" * 56: "10.0.0.9"}])
    monkeypatch.setattr(cluster, "_nodes", lambda: next(looks, alive))
    cluster.check_versions()
    assert next(looks, None) is None


@pytest.mark.parametrize(
    ("node", "patience", "told"), [("", 0.0, "Get timed out"), ("a" * 56, 60.0, "NodeAffinity|does(n't| not) exist")]
)
def test_a_node_that_is_there_and_does_not_answer_is_named_in_a_fault(ray_cluster, monkeypatch, node, patience, told):
    known = {node: "10.0.0.9"} if node else cluster._nodes()
    monkeypatch.setattr(cluster, "_nodes", lambda: known)
    monkeypatch.setattr(cluster, "ANSWER", patience)
    with pytest.raises(StorageFault, match=rf"^node [\d.]+ does not tell its versions \(.*({told}).*run the same"):
        cluster.check_versions()
