"""What a user reads when nothing moves."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from pipeline.engine.actors import Actor
from pipeline.engine.ledger import Entry
from pipeline.engine.resources import Cluster, choose
from pipeline.engine.standstill import View, holds, lacks

POOLS = choose(Cluster(cpus=4), gpus_per_actor=None, model_bytes=7_000_000, model_actors=2)
WORKERS = {"read": 2, "features": 1, "model": 2, "commit": 1}
ALIVE = (Actor("1", "features", "alive", "a"), Actor("2", "model", "alive", "a"), Actor("4", "commit", "alive", "a"))
FREE = {"CPU": 0.25}
TOTAL = {"CPU": 4.0}


def entry(unit: str = "3f9a12cd77", *, stage: str = "model", ago: float = 1860.0, deaths: int = 0) -> Entry:
    return Entry(stage, unit, "node-a:4711", time.time() - ago, deaths)


def test_a_stage_at_work_is_named_with_its_unit_worker_and_time() -> None:
    view = View((entry(),), (*ALIVE, Actor("3", "model", "restarting", "b")), FREE, TOTAL)
    assert holds(view, WORKERS, 1800.0) == (
        "no unit moved in any stage for 30.0 min (--stall-timeout): model holds it, at unit 3f9a12cd on node-a:4711 "
        "for 31.0 min; actors: features 1 of 1 alive, model 1 of 2 alive and 1 restarting (b), commit 1 of 1 alive"
    )


def test_workers_that_died_over_a_unit_are_told() -> None:
    assert "for 31.0 min, over which 2 workers died before" in holds(View((entry(deaths=2),)), WORKERS, 60.0)


@pytest.mark.parametrize(("stage", "told"), [("features", "at c/a.wav"), ("model", "the batch of c/a.wav")])
def test_the_recording_at_work_is_named(stage: str, told: str) -> None:
    view = View((replace(entry(stage=stage), recording="c/a.wav"),))
    assert f"unit 3f9a12cd ({told}) on node-a:4711 for" in holds(view, WORKERS, 60.0)


def test_of_many_at_work_a_few_are_named() -> None:
    view = View(tuple(entry(f"unit-{number}", ago=100.0) for number in range(9)))
    assert "unit unit-2" in holds(view, WORKERS, 60.0)
    assert "unit unit-3" not in holds(view, WORKERS, 60.0)
    assert "and 6 more" in holds(view, WORKERS, 60.0)


def test_without_anybody_at_work_it_is_the_stage_without_a_place() -> None:
    view = View((), (*ALIVE, Actor("3", "model", "pending", "")), FREE, TOTAL)
    said = holds(view, WORKERS, 60.0)
    assert "model holds it, 1 of 2 actors have begun and the cluster has 0.25 CPU free" in said
    assert "model 1 of 2 alive and 1 pending" in said


def test_a_stage_whose_actors_have_done_all_is_not_waited_for() -> None:
    actors = (Actor("1", "features", "ended", "a"), Actor("3", "model", "pending", ""), ALIVE[2])
    view = View((), actors, FREE, TOTAL)
    assert "model holds it, 0 of 2 actors have begun" in holds(view, WORKERS, 60.0)
    assert "features 0 of 1 alive and 1 ended (a), model" in holds(view, WORKERS, 60.0)
    assert str(lacks(view, POOLS, WORKERS)).endswith("begun have 0 of 2 model actors")


def test_a_stage_with_one_that_is_to_come_back_is_waited_for_whatever_ended() -> None:
    actors = (Actor("1", "features", "ended", "a"), Actor("5", "features", "restarting", ""), *ALIVE[1:])
    assert "features holds it, 0 of 1 actors have begun" in holds(View((), actors, FREE, TOTAL), WORKERS, 60.0)


def test_with_all_in_place_and_nobody_at_work_it_is_ray() -> None:
    view = View((), (*ALIVE, Actor("3", "model", "alive", "a")), FREE, TOTAL)
    assert "no worker is at work, so Ray holds it" in holds(view, WORKERS, 60.0)


def test_a_cluster_that_does_not_answer_is_said_to() -> None:
    assert holds(None, WORKERS, 60.0).endswith("the cluster does not say why: it does not answer")


def test_a_run_that_waits_for_cpus_says_for_how_many() -> None:
    assert POOLS.model_cpus == 1.0
    assert lacks(View((), ALIVE[:1], FREE, TOTAL), POOLS, WORKERS) == (
        "waiting for 2.1 CPUs, the cluster has 0.25 of 4 CPUs free; begun have 0 of 2 model, 0 of 1 commit actors"
    )


def test_gpus_are_told_too() -> None:
    pools = choose(Cluster(cpus=8, gpus=2), gpus_per_actor=1.0, model_bytes=1)
    view = View((), ALIVE, {"CPU": 2.0, "GPU": 0.0}, {"CPU": 8.0, "GPU": 2.0})
    assert lacks(view, pools, WORKERS) == (
        "waiting for 1 CPUs and 1 GPUs, the cluster has 2 of 8 CPUs and 0 of 2 GPUs free; "
        "begun have 1 of 2 model actors"
    )


@pytest.mark.parametrize("view", [None, View((), (*ALIVE, Actor("3", "model", "alive", "a")), FREE, TOTAL)])
def test_a_run_with_all_its_actors_waits_for_nothing(view: View | None) -> None:
    assert lacks(view, POOLS, WORKERS) is None
