"""The model of the protocol keeps its promises, notices a store that does not, and does what the code does."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.plan import publish, store
from pipeline.storage.put import probe_write
from pipeline.table import commit, complete, done
from tests.chaos import protocol
from tests.chaos.protocol import DEAD, DONE, ENDED, Rules, Run, World, beginning, explore, moves, recovered, wander
from tests.jobs.corpora import clips, encoded, transcribed


def test_no_promise_is_broken_by_two_runs_at_once_whatever_befalls_them():
    found = explore(beginning(2), Rules(most_lost=1))
    assert found.states > 10_000
    assert found.ends > 300
    assert found.broken == {}


def test_no_promise_is_broken_on_random_ways_of_three_runs():
    found = wander(beginning(3), protocol.BOUNDLESS, schedules=1000, seed="1")
    assert (found.ends, found.broken) == (1000, {})


def test_a_store_without_conditional_puts_breaks_promises_and_the_model_says_which():
    found = explore(beginning(2), Rules(conditional=False, most_hidden=0, crashes=False))
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
            new = tuple(filter(None, (frozenset(row for row in rows if row[0] not in known) for rows in then.new)))
            step = "read units" if then.step == "remove claim" and not new else then.step
            yield after, then._replace(new=new, step=step)

    monkeypatch.setattr(protocol, "_operate", forgetful)
    assert "one more run does not complete the table" in explore(beginning(1), Rules(crashes=False)).broken


def test_a_claim_that_nobody_makes_is_noticed(monkeypatch):
    operate = protocol._operate

    def forgetful(world, number, run, rules):
        for after, then in operate(world, number, run, rules):
            yield after, Run(DONE, known=run.known) if then.step == "put claim" else then

    monkeypatch.setattr(protocol, "_operate", forgetful)
    assert recovered(beginning(1)) == "one more run does not claim in _SUCCESS what is planned"


def test_runs_may_die_or_lose_the_number_between_two_generations_of_a_draft():
    world = beginning(2)
    first, second = (frozenset({row}) for row in sorted(world.source))
    halfway = world._replace(plan=(first,), commits=(None,), runs=(Run("put plan", known=1, new=(second,)), Run()))
    later = {(after.runs[0].step, len(after.plan)) for after in moves(halfway, protocol.BOUNDLESS)}
    assert {("read units", 2), ("put plan", 2), (DEAD, 1), (DEAD, 2)} <= later
    taken = halfway._replace(plan=(first, second), commits=(None, None))
    assert ("read plan", 2) in {(after.runs[0].step, len(after.plan)) for after in moves(taken, protocol.BOUNDLESS)}
    found = explore(beginning(1), Rules(several=True))
    assert found.states > 2 * explore(beginning(1), Rules()).states
    assert found.broken == {}


def test_random_schedules_of_two_seeds_are_others_and_have_no_bounds(monkeypatch, tmp_path):
    given = []

    def wandered(start, rules, *, schedules, seed):
        given.append(seed)
        return protocol.Explored(ends=schedules)

    monkeypatch.setattr(protocol, "explore", lambda *_: protocol.Explored())
    monkeypatch.setattr(protocol, "wander", wandered)
    monkeypatch.setattr(protocol, "ENOUGH", 5 * protocol.AT_ONCE)
    assert protocol.run(1, math.inf, tmp_path)["schedules"] == protocol.ENOUGH
    protocol.run(2, math.inf, tmp_path)
    assert len(set(given)) == len(given) == 10


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
        world = next(moves(world, Rules(crashes=False, most_hidden=0)))
    assert world.runs[0].step == DONE
    return steps


def logged(monkeypatch: pytest.MonkeyPatch, *, beaten: int) -> list[str]:
    """Steps that the code takes from now on; at so manieth put of a generation somebody else is first, 0: never."""
    taken: list[str] = []

    def logging(step: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def log(*given: Any, **named: Any) -> Any:
            taken.append(step)
            if step == "put plan" and taken.count(step) == beaten:
                # With the same plan.
                assert call(*given, **named)
            return call(*given, **named)

        return log

    for module, name, step in STEPS:
        monkeypatch.setattr(module, name, logging(step, getattr(module, name)))
    return taken


@pytest.mark.parametrize("beaten", [0, 1], ids=["alone", "second"])
def test_the_model_takes_the_steps_that_the_code_takes(tmp_path, monkeypatch, beaten):
    taken = logged(monkeypatch, beaten=beaten)
    (tmp_path / "one.flac").write_bytes(encoded(clips()[0].samples))
    assert transcribed([tmp_path / "one.flac"], tmp_path / "out").exit_code == 0

    world = beginning(1)._replace(arrivals=())
    steps = calm(world)
    if beaten:
        run = Run(step="put plan", new=(world.source,))
        late = world._replace(plan=(world.source,), commits=(None,), runs=(run,))
        steps = [*steps[:3], *calm(late)]
    # The model reads the plan and lists what is committed in one step.
    assert taken == ["list units" if step == "read units" else step for step in steps]


@pytest.mark.parametrize("beaten", [0, 2], ids=["alone", "second"])
def test_the_model_plans_two_generations_in_the_steps_of_the_code(tmp_path, monkeypatch, beaten):
    monkeypatch.setattr(publish, "ROW_GROUP", 1)
    monkeypatch.setattr(publish, "GENERATION", 1)
    taken = logged(monkeypatch, beaten=beaten)
    files = [str(tmp_path / f"{name}.flac") for name in "ab"]
    for file in files:
        Path(file).write_bytes(encoded(clips()[0].samples))
    probe_write(str(tmp_path / "out"))
    report = store.extend(files, str(tmp_path / "out"), corpus="c", unit_seconds=0.01)
    assert report.generations == ((1,) if beaten else (1, 2))

    world = beginning(1)._replace(arrivals=())
    *_, new = protocol._drafts(world.source, Rules(several=True))
    steps = ["read plan", "list source", *calm(world._replace(runs=(Run("remove claim", new=new),)))]
    if beaten:
        late = Run("put plan", known=1, new=new[1:])
        steps = [*steps[:5], *calm(world._replace(plan=new, commits=(None, None), runs=(late,)))]
    assert taken == steps[: steps.index("read units")]
