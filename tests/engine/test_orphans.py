"""Actors that Ray leaves behind: those that watch end with their driver, and nothing else does."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest
import ray

from pipeline.engine.orphans import leave_with_run
from tests.engine.test_pulse import until
from tests.jobs.corpora import ROOT

LOOK = 0.2
LEAVES_TWO = f"""
import os, sys, time
import ray

class Left:
    def __init__(self, watches):
        if watches:
            from pipeline.engine.orphans import leave_with_run
            leave_with_run(every={LOOK})

    def pid(self):
        return os.getpid()

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR", namespace="orphans")
# What is detached is what Ray does not end with its driver.
left = ray.remote(num_cpus=0)(Left)
actors = [left.options(lifetime="detached", name=name).remote(name == "watches") for name in ("watches", "does not")]
before = ray.get([each.pid.remote() for each in actors])
time.sleep({10 * LOOK})
assert before == ray.get([each.pid.remote() for each in actors])
print(*before)
"""


@pytest.mark.usefixtures("ray_cluster")
def test_an_actor_that_is_left_ends_with_its_driver_and_not_before():
    command = [sys.executable, "-c", LEAVES_TWO, ray.get_runtime_context().gcs_address]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120, cwd=ROOT).stdout
    watches, other = map(int, told.split())
    try:
        assert until(lambda: not psutil.pid_exists(watches))
        assert psutil.pid_exists(other)
    finally:
        ray.kill(ray.get_actor("does not", namespace="orphans"))


@pytest.mark.usefixtures("ray_cluster")
def test_a_driver_is_no_actor(monkeypatch):
    monkeypatch.setattr("threading.Thread", None)
    leave_with_run()
