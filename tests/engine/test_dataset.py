"""The chain as it is given to Ray, and what becomes of units that Ray does not give back; no cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import ray
from ray.exceptions import OutOfDiskError, RayTaskError

from pipeline.engine import dataset, losses
from pipeline.engine.datasource import UnitSource
from pipeline.engine.memory import Needs
from pipeline.engine.resources import Cluster, Pools, choose
from pipeline.engine.stages import Commit, Features, Inference
from pipeline.engine.teams import Team
from pipeline.job import Work
from pipeline.plan import UnitRef
from pipeline.receipts import Receipt

JOB, SHIPPED = object(), [object()]
Given = Callable[[Sequence[str], int], Sequence[str]]


def units(count: int) -> list[Work]:
    return [Work(UnitRef(f"u{n}", 1, 0, n, 1, 1.0, 1), ("labels",)) for n in range(count)]


def on_cpus(cpus: int = 16) -> Pools:
    return choose(Cluster(cpus=cpus), gpus_per_actor=None, model_bytes=1 << 20)


class Chain:
    """In the place of a Ray dataset: what it is asked for."""

    def __init__(self) -> None:
        self.stages: list[tuple[type, dict[str, Any]]] = []

    def read_datasource(self, source: UnitSource, **options: Any) -> Chain:
        self.source, self.read = source, options
        return self

    def map_batches(self, stage: type, **options: Any) -> Chain:
        self.stages.append((stage, options))
        return self


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    found = Chain()
    monkeypatch.setattr(ray.data, "read_datasource", found.read_datasource)
    return found


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Callable[[Given], tuple[list[Receipt], list[Any]]]:
    """Run three units on a Ray that gives receipts of some; the receipts, and what each run was asked for."""

    def run(given: Given) -> tuple[list[Receipt], list[Any]]:
        asked: list[Any] = []

        def built(job: Any, refs: Sequence[Work], *_: Any, in_flight: int) -> list[str]:
            asked.append(([ref.name for ref in refs], in_flight))
            return list(given(*asked[-1]))

        def ended(names: list[str]) -> Iterator[Receipt]:
            yield from (Receipt(name, "committed") for name in names)

        monkeypatch.setattr(dataset, "_chain", built)
        monkeypatch.setattr(dataset, "_run", ended)
        return list(dataset.receipts(JOB, units(3), SHIPPED, on_cpus(), running=dataset.Running())), asked

    return run


def test_what_else_ray_data_does_in_this_process_goes_on_as_before(runs):
    def given(names, in_flight):
        context = ray.data.DataContext.get_current()
        assert (context.max_errored_blocks, context.execution_no_progress_timeout_s) == (-1, -1)
        assert (context.target_max_block_size, context.target_min_block_size) == (1, 1)
        return names

    runs(given)
    context = ray.data.DataContext.get_current()
    assert context.max_errored_blocks == 0
    assert dataset._Noted not in context.custom_execution_callback_classes


def test_units_that_all_come_back_are_run_once(runs):
    receipts, asked = runs(lambda names, in_flight: names)
    assert [(each.unit, each.fault) for each in receipts] == [("u0", ""), ("u1", ""), ("u2", "")]
    assert asked == [(["u0", "u1", "u2"], dataset.IN_FLIGHT)]


def test_what_waited_behind_a_unit_that_kills_is_run_again_alone(runs):
    receipts, asked = runs(lambda names, in_flight: ["u1"] if in_flight > 1 else names[1:])
    assert asked[1:] == [(["u0", "u2"], 1)]
    assert [(each.unit, each.fault) for each in receipts] == [("u1", ""), ("u2", ""), ("u0", losses.DIED)]


def test_every_unit_has_one_receipt_even_if_nothing_comes_back(runs):
    receipts, asked = runs(lambda names, in_flight: [])
    assert [(each.unit, each.outcome) for each in receipts] == [("u0", "fault"), ("u1", "fault"), ("u2", "fault")]
    assert len(asked) == 2


@pytest.mark.parametrize("error", [OutOfDiskError(), RayTaskError("f", "trace", OutOfDiskError())])
def test_units_that_found_no_room_say_so(runs, error):
    def given(names, in_flight):
        logging.getLogger(losses._LOGGER).error("An exception was raised", exc_info=error)
        return names[1:]

    receipts, _ = runs(given)
    assert [each.fault for each in receipts if each.fault] == [losses.FULL]
    receipts, _ = runs(lambda names, in_flight: names[1:])
    assert [each.fault for each in receipts if each.fault] == [losses.DIED]


def test_stages_come_in_order_with_their_cpus(chain):
    pools = on_cpus()
    dataset._chain(JOB, units(100), SHIPPED, pools, in_flight=2)
    assert [stage for stage, _ in chain.stages] == [Features, Inference, Commit]
    assert [options["num_cpus"] for _, options in chain.stages] == [
        pools.feature_cpus,
        pools.model_cpus,
        pools.commit_cpus,
    ]
    assert chain.read["num_cpus"] == pools.read_cpus
    assert [options["fn_constructor_args"] for _, options in chain.stages] == [
        (JOB, pools.feature_cpus),
        (JOB, SHIPPED, pools.model_cpus, (), True),
        (JOB, SHIPPED),
    ]


def test_every_stage_asks_for_its_memory(chain):
    needs = Needs(read=1, features=2, commit=4, models=(3,))
    pools = choose(Cluster(cpus=16), gpus_per_actor=None, model_bytes=1 << 20, needs=needs)
    dataset._chain(JOB, units(9), SHIPPED, pools, in_flight=2)
    assert [chain.read["memory"], *(options["memory"] for _, options in chain.stages)] == [1, 2, 3, 4]
    dataset._chain(JOB, units(9), SHIPPED, on_cpus(), in_flight=2)
    assert [options["memory"] for _, options in chain.stages[3:]] == [None] * 3


@pytest.mark.parametrize("in_flight", [1, 2])
def test_no_more_actors_than_units(chain, in_flight):
    dataset._chain(JOB, units(1), SHIPPED, on_cpus(), in_flight=in_flight)
    pools = [options["compute"] for _, options in chain.stages]
    assert [(pool.min_size, pool.max_size) for pool in pools] == [(1, 1)] * 3
    assert [pool.max_tasks_in_flight_per_actor for pool in pools] == [in_flight] * 3
    assert chain.read["compute"].size == 1


def test_every_repetition_has_a_bound(chain):
    dataset._chain(JOB, units(9), SHIPPED, on_cpus(), in_flight=2)
    assert chain.read["ray_remote_args"] == {"max_retries": dataset.TRIES_AFTER_A_CRASH}
    for _, options in chain.stages:
        assert options["max_task_retries"] == dataset.TRIES_AFTER_A_CRASH
        assert options["max_restarts"] == dataset.ACTOR_RESTARTS


def test_a_number_of_rows_is_given_where_gpus_are_asked_for_only(chain):
    pools = choose(Cluster(cpus=16, gpus=2), gpus_per_actor=0.5, model_bytes=1 << 20)
    dataset._chain(JOB, units(9), SHIPPED, pools, in_flight=2)
    assert [(options["num_gpus"], options["batch_size"]) for _, options in chain.stages] == [
        (None, None),
        (0.5, 1),
        (None, None),
    ]


def test_models_that_share_no_actor_run_one_stage_after_the_other(chain):
    teams = (Team(("a", "b"), 3 << 30, 0.6), Team(("c",), 1 << 30, 0.4))
    pools = choose(Cluster(cpus=16, gpus=2), gpus_per_actor=1.0, model_bytes=4 << 30, teams=teams)
    dataset._chain(JOB, units(9), SHIPPED, pools, in_flight=2)
    assert [stage for stage, _ in chain.stages] == [Features, Inference, Inference, Commit]
    first, second = (options for stage, options in chain.stages if stage is Inference)
    assert first["fn_constructor_args"] == (JOB, SHIPPED, pools.model_cpus, ("a", "b"), False)
    assert second["fn_constructor_args"] == (JOB, SHIPPED, pools.model_cpus, ("c",), True)
    assert [(each["num_gpus"], each["compute"].max_size) for each in (first, second)] == [(0.6, 2), (0.4, 2)]


def test_few_units_are_few_read_tasks_and_many_are_several_for_each_read(chain):
    dataset._chain(JOB, units(5), SHIPPED, on_cpus(), in_flight=2)
    assert chain.source.num_tasks == chain.read["override_num_blocks"] == 5
    dataset._chain(JOB, units(1000), SHIPPED, on_cpus(), in_flight=2)
    assert chain.source.num_tasks == dataset.LEAST_READ_TASKS
