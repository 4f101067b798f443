"""A local Ray of a process: its workers find the package, and nothing of it is left."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from pipeline.engine import local
from tests.engine.test_pulse import until
from tests.jobs.corpora import ROOT, environment


def test_workers_of_a_local_ray_find_the_package_wherever_the_driver_was_started(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    local._make_importable()
    assert os.environ["PYTHONPATH"] == f"{ROOT}{os.pathsep}/elsewhere"
    local._make_importable()
    assert os.environ["PYTHONPATH"].count(str(ROOT)) == 1


HEADLESS = """
import os, signal, sys
from pipeline.engine import cluster, local
from ray._private import worker

with cluster.joined(None, num_cpus=1):
    print(*(each.pid for each in local.started_agents()))
    if sys.argv[1:]:
        os.kill(worker._global_node.all_processes["gcs_server"][0].process.pid, signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed", [[], ["head"]])
def test_nothing_is_left_of_a_local_ray_even_where_its_head_was_killed(tmp_path, killed):
    program = [sys.executable, "-c", HEADLESS, *killed]
    done = subprocess.run(
        program, env=environment(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=120
    )
    agents = [int(each) for each in done.stdout.split()]
    assert len(agents) >= 2
    # By itself one of them would end a minute later.
    assert until(lambda: not any(map(psutil.pid_exists, agents)), seconds=15)


WITHOUT_WORKERS = """
from pipeline.engine import cluster
cluster.START = 20.0
with cluster.joined(None, num_cpus=1):
    print("taken in")
"""


def test_a_ray_whose_workers_come_too_late_takes_its_driver_in_all_the_same(tmp_path):
    variables = environment(tmp_path, RAY_worker_register_timeout_seconds="0")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_WORKERS], env=variables, cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=120,
    )  # fmt: skip
    assert done.stdout == "taken in\n", done.stderr[-2000:]


DYING = """
import pathlib, sys, threading, time
import psutil
from pipeline.engine import cluster, local

def kill_first():
    while True:
        for each in psutil.Process().children(recursive=True):
            try:
                if "/raylet/raylet" in " ".join(each.cmdline()):
                    return each.kill()
            except psutil.Error:
                pass
        time.sleep(0.02)

threading.Thread(target=kill_first, daemon=True).start()
with cluster.joined(None, num_cpus=1) as own:
    import ray
    print(ray.get(ray.remote(lambda: "at work").remote()))
    print(sum("gcs_server" in " ".join(each.cmdline()) for each in psutil.Process().children(recursive=True)))
print(own.folder.exists())
"""


@pytest.mark.slow
def test_a_ray_that_does_not_start_is_started_once_more_and_nothing_of_the_first_stays(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", DYING], env=environment(tmp_path), cwd=ROOT, capture_output=True, text=True, check=False,
        timeout=200,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["at work", "1", "False"], done.stdout + done.stderr[-2000:]
