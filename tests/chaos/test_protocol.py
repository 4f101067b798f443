"""The model of the protocol keeps its promises, notices a store that does not, and does what the code does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.plan import store
from pipeline.table import commit, complete, done
from tests.chaos import protocol
from tests.chaos.protocol import DEAD, DONE, ENDED, Rules, Run, World, beginning, explore, moves, recovered, wander
from tests.jobs.corpora import clips, encoded, transcribed


def test_no_promise_is_broken_by_two_runs_at_once_whatever_befalls_them():
    found = explore(beginning(2), Rules())
    assert found.states > 13_000
    assert found.ends > 300
    assert found.broken == {}


def test_no_promise_is_broken_on_random_ways_of_three_runs():
    found = wander(beginning(3), Rules(most_lost=3), schedules=2000, seed=1)
    assert (found.ends, found.broken) == (2000, {})


def test_a_store_without_conditional_puts_breaks_promises_and_the_model_says_which():
    found = explore(beginning(2), Rules(conditional=False, stale=False, crashes=False))
    assert {"a generation of the plan was replaced", "a committed unit was replaced"} <= found.broken.keys()


def test_a_claim_that_is_made_too_early_is_noticed():
    start = beginning(1)
    planned = start._replace(plan=(start.source,), commits=(None,))
    early = planned._replace(runs=(Run("put claim", known=1),))
    assert "_SUCCESS claims what is not committed" in explore(early, Rules(crashes=False)).broken


def test_a_table_that_one_more_run_cannot_complete_is_noticed(monkeypatch):
    broken = beginning(1)._replace(plan=(frozenset({("a", 2)}),), commits=(0,), runs=(Run(DEAD),))
    assert recovered(broken) == ""
    # As if only ids that are new were planned, and content that has changed were not.
    plan = protocol._operate

    def forgetful(world, number, run, rules):
        for after, then in plan(world, number, run, rules):
            known = {id for generation in world.plan for id, _ in generation}
            new = frozenset(row for row in then.new if row[0] not in known)
            step = "read units" if then.step == "remove claim" and not new else then.step
            yield after, then._replace(new=new, step=step)

    monkeypatch.setattr(protocol, "_operate", forgetful)
    assert "one more run does not complete the table" in explore(beginning(1), Rules(crashes=False)).broken


STEPS = (
    (store, "read_known", "read plan"),
    (store, "entries", "list source"),
    (store, "remove_success", "remove claim"),
    (store, "put_if_absent", "put plan"),
    (commit, "put_if_absent", "put unit"),
    (complete, "numbers", "count plan"),
    (complete, "write_success", "put claim"),
    (done, "list_sizes", "list units"),
)
"""Where the code does what the model calls so."""


def calm(world: World) -> list[str]:
    """Steps of the only run of a world to its end, when nothing befalls it."""
    steps = []
    while world.runs[0].step not in ENDED:
        steps.append(world.runs[0].step)
        world = next(moves(world, Rules(crashes=False, stale=False)))
    assert world.runs[0].step == DONE
    return steps


@pytest.mark.parametrize("second", [False, True], ids=["alone", "second"])
def test_the_model_takes_the_steps_that_the_code_takes(tmp_path, monkeypatch, second):
    taken: list[str] = []

    def logged(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def logging(*given: Any, **named: Any) -> Any:
            taken.append(step)
            if second and taken.count("put plan") == 1 and step == "put plan":
                # Somebody else is first, with the same plan.
                assert call(*given, **named)
            return call(*given, **named)

        return logging

    for module, name, step in STEPS:
        monkeypatch.setattr(module, name, logged(step, getattr(module, name)))
    (tmp_path / "one.flac").write_bytes(encoded(clips()[0].samples))
    assert transcribed([tmp_path / "one.flac"], tmp_path / "out").exit_code == 0

    world = beginning(1)._replace(arrivals=())
    steps = calm(world)
    if second:
        run = Run(step="put plan", known=0, new=world.source)
        late = world._replace(plan=(world.source,), commits=(None,), runs=(run,))
        steps = [*steps[:3], *calm(late)]
    # The model reads the plan and lists what is committed in one step.
    assert taken == ["list units" if step == "read units" else step for step in steps]
