"""Which actors a cluster takes for dead, and that one that it does ends itself."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import ray

from pipeline.engine import orphans, stages
from tests.engine.test_pulse import until
from tests.jobs.corpora import ROOT


class Watched:
    """What it says of itself, and how many threads look after it."""

    def __init__(self) -> None:
        stages.leave_when_dead(0.05)
        stages.leave_when_dead(0.05)

    def told(self) -> tuple[str, bool, int]:
        actor = ray.get_runtime_context().get_actor_id()
        watching = [each.name for each in threading.enumerate()].count("voxmill-orphans")
        return actor, orphans.dead(actor), watching


@pytest.mark.usefixtures("ray_cluster")
def test_an_actor_is_dead_once_it_is_killed_and_not_before():
    watched = ray.remote(num_cpus=0)(Watched).remote()
    for _ in range(20):
        actor, dead, watching = ray.get(watched.told.remote())
        assert (dead, watching) == (False, 1)
    ray.kill(watched)
    assert until(lambda: orphans.dead(actor))
    assert not orphans.dead("f" * len(actor))


def test_one_that_is_taken_for_dead_ends_whatever_it_is_at():
    lines = (
        "from pipeline.engine import orphans",
        "answers = iter([False, False, True])",
        "orphans.dead = lambda actor: next(answers)",
        "orphans.threading.Thread(target=orphans._watch, args=('a', 0.01)).start()",
        "while True: pass",
    )
    program = [sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(program, cwd=ROOT, timeout=60, capture_output=True, text=True, check=False)
    assert ended.returncode == 0
    assert "taken this worker for dead" in ended.stderr


def test_a_head_that_does_not_answer_ends_nothing(monkeypatch):
    monkeypatch.setattr("ray._private.state.actors", lambda actor_id: 1 / 0)
    assert not orphans.dead("a" * 32)


@pytest.mark.usefixtures("ray_cluster")
def test_a_driver_is_no_actor(monkeypatch):
    watches = []
    monkeypatch.setattr(orphans.threading, "Thread", lambda **settings: watches.append(settings))
    orphans.leave_when_dead.__wrapped__()
    assert watches == []
