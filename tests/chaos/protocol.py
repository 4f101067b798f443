"""The protocol of planning and committing as a pure model, and all that can happen to it.

    make chaos PARTS=protocol

Several runs plan, commit and claim at once while files arrive and change. Before and after each operation on the store
a run may die; of a write the answer may be lost, so that the client tries again; a listing of what is committed may
lack some. Every state that can be reached so is visited once and checked. `tests/chaos/test_protocol.py` holds the
model to the code: the operations of a run by itself, and of one that comes second, are in their order those of
`pipeline.run`.
"""

from __future__ import annotations

import functools
import itertools
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from tests.chaos.promise import Broken

Row = tuple[str, int]
"""Id and version of a recording."""


class Run(NamedTuple):
    """One run, between two of its operations."""

    step: str = "read plan"
    known: int = 0
    """Generations that it has read."""
    new: tuple[frozenset[Row], ...] = ()
    """Generations that it is about to plan, one after the other."""
    todo: tuple[int, ...] = ()
    """Units that it takes for pending."""
    lost: int = 0
    """Answers that were lost on it so far."""


class World(NamedTuple):
    """Everything: what is stored, and how far each run is."""

    source: frozenset[Row]
    plan: tuple[frozenset[Row], ...] = ()
    """Generations; each is one unit here."""
    commits: tuple[int | None, ...] = ()
    """Of each unit: the run whose file is there."""
    claim: int = 0
    """Generation that `_SUCCESS` names; 0 where there is none."""
    runs: tuple[Run, ...] = ()
    arrivals: tuple[frozenset[Row], ...] = ()
    """What the source will hold next."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may happen, and how the store behaves."""

    conditional: bool = True
    """Whether a put of a name that is taken is refused, as `probe_write` looks whether it is."""
    most_lost: int = 2
    """Answers that may be lost on each run."""
    most_hidden: int = 3
    """Units that have been put, of which a listing may lack so many."""
    several: bool = False
    """Whether what is new may be planned as two generations, as what is more than a file holds."""
    crashes: bool = True


MISHAPS = 0.2
"""Share of the moves of a random schedule at which a mishap may happen."""

DEAD, DONE, PARTIAL = "dead", "done", "partial"
ENDED = (DEAD, DONE, PARTIAL)
WRITES = ("put plan", "remove claim", "put unit", "put claim")


def moves(world: World, rules: Rules) -> Iterator[World]:
    """Every world that one operation, or one mishap, leads to."""
    if world.arrivals:
        yield world._replace(source=world.arrivals[0], arrivals=world.arrivals[1:])
    for number, run in enumerate(world.runs):
        if run.step in ENDED:
            continue
        if rules.crashes:
            yield _with(world, number, Run(DEAD))
        for after, then in _operate(world, number, run, rules):
            yield _with(after, number, then)
            if run.step in WRITES:
                if rules.crashes:
                    yield _with(after, number, Run(DEAD))
                if run.lost < rules.most_lost:
                    yield _with(after, number, run._replace(lost=run.lost + 1))


def _operate(world: World, number: int, run: Run, rules: Rules) -> Iterator[tuple[World, Run]]:
    """What the next operation of a run makes of the store and of the run."""
    step = run.step
    if step == "read plan":
        yield world, run._replace(step="list source", known=len(world.plan))
    elif step == "list source":
        for new in _drafts(world.source - newest(world.plan[: run.known]), rules):
            yield world, run._replace(step="remove claim" if new else "read units", new=new)
    elif step == "remove claim":
        yield world._replace(claim=0), run._replace(step="put plan")
    elif step == "put plan":
        yield from _put_plan(world, run, rules)
    elif step == "read units":
        run = run._replace(known=len(world.plan))
        for done in _listings(world, rules):
            todo = tuple(unit for unit in range(run.known) if unit not in done)
            yield world, run._replace(step="put unit" if todo else "count plan", todo=todo)
    elif step == "put unit":
        unit, *rest = run.todo
        free = world.commits[unit] is None or not rules.conditional
        commits = (*world.commits[:unit], number, *world.commits[unit + 1 :]) if free else world.commits
        yield (
            world._replace(commits=commits),
            run._replace(step="put unit" if rest else "list units", todo=tuple(rest)),
        )
    elif step == "list units":
        for done in _listings(world, rules):
            yield world, run._replace(step="count plan") if set(range(run.known)) <= done else Run(PARTIAL)
    elif step == "count plan":
        # Where more is planned by now, what the run has read is done all the same, and nothing is claimed.
        grown = len(world.plan) != run.known
        yield world, Run(DONE, known=run.known) if grown or not run.known else run._replace(step="put claim")
    elif step == "put claim":
        yield world._replace(claim=run.known), Run(DONE, known=run.known)


def _drafts(rows: frozenset[Row], rules: Rules) -> Iterator[tuple[frozenset[Row], ...]]:
    """Generations that rows may be planned as, in the order of the listing."""
    yield (rows,) if rows else ()
    listed = sorted(rows)
    for first in range(1, len(listed)) if rules.several else ():
        yield frozenset(listed[:first]), frozenset(listed[first:])


def _put_plan(world: World, run: Run, rules: Rules) -> Iterator[tuple[World, Run]]:
    new, *rest = run.new
    then = run._replace(step="remove claim" if rest else "read units", known=run.known + 1, new=tuple(rest))
    if len(world.plan) == run.known:
        yield world._replace(plan=(*world.plan, new), commits=(*world.commits, None)), then
    elif rules.conditional:
        yield world, run._replace(step="read plan", new=())
    else:
        yield world._replace(plan=(*world.plan[: run.known], new, *world.plan[run.known + 1 :])), then


def _listings(world: World, rules: Rules) -> Iterator[set[int]]:
    """Units that a listing of what is committed may show."""
    done = {unit for unit, by in enumerate(world.commits) if by is not None}
    for lacking in range(min(rules.most_hidden, len(done)) + 1):
        for hidden in itertools.combinations(sorted(done), lacking):
            yield done - set(hidden)


def newest(plan: tuple[frozenset[Row], ...]) -> frozenset[Row]:
    """The rows that readers see: of each id the last that was planned."""
    return frozenset(dict(row for generation in plan for row in generation).items())


def _with(world: World, number: int, run: Run) -> World:
    return world._replace(runs=(*world.runs[:number], run, *world.runs[number + 1 :]))


def violations(before: World, after: World) -> Iterator[str]:
    """Promises that the way from one world to the next breaks."""
    if after.plan[: len(before.plan)] != before.plan:
        yield "a generation of the plan was replaced"
    if any(old is not None and old != new for old, new in zip(before.commits, after.commits, strict=False)):
        yield "a committed unit was replaced"
    planned = [row for generation in after.plan for row in generation]
    if len(set(planned)) < len(planned):
        yield "a recording is planned twice"
    if None in after.commits[: after.claim]:
        yield "_SUCCESS claims what is not committed"
    for run in after.runs:
        if run.step == DONE and None in after.commits[: run.known]:
            yield "a run said that all is done, and it is not"


def recovered(world: World) -> str:
    """What is wrong after one more run, which nothing befalls; '' where all is well."""
    calm = Rules(most_hidden=0, crashes=False, most_lost=0)
    world = world._replace(runs=(Run(),), arrivals=(), claim=world.claim)
    while world.runs[0].step not in ENDED:
        world = next(moves(world, calm))
    if not world.source <= newest(world.plan) or None in world.commits or world.runs[0].step != DONE:
        return "one more run does not complete the table"
    if world.claim != len(world.plan):
        return "one more run does not claim in _SUCCESS what is planned"
    return ""


@dataclass
class Explored:
    """What an exploration found."""

    states: int = 0
    moves: int = 0
    ends: int = 0
    """States, or schedules, in which every run has ended."""
    broken: dict[str, int] = field(default_factory=dict)
    """Broken promises, and how often."""

    def blame(self, what: str) -> None:
        self.broken[what] = self.broken.get(what, 0) + 1


def beginning(runs: int) -> World:
    """A source of two recordings; then a third arrives, then the first changes."""
    first = frozenset({("a", 1), ("b", 1)})
    more = first | {("c", 1)}
    return World(source=first, runs=(Run(),) * runs, arrivals=(more, more - {("a", 1)} | {("a", 2)}))


def explore(start: World, rules: Rules) -> Explored:
    """Visit every state once."""
    found, seen, waiting = Explored(), {start}, deque([start])
    while waiting:
        world = waiting.popleft()
        found.states += 1
        if all(run.step in ENDED for run in world.runs):
            found.ends += 1
            if wrong := recovered(world):
                found.blame(wrong)
        for after in moves(world, rules):
            found.moves += 1
            for wrong in violations(world, after):
                found.blame(wrong)
            after = _sorted(after)
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return found


_told = functools.cache(repr)


def _sorted(world: World) -> World:
    """The same world with its runs in order: which is called the first makes no difference to what may happen."""
    order = sorted(range(len(world.runs)), key=lambda number: _told(world.runs[number]))
    place = {old: new for new, old in enumerate(order)}
    commits = tuple(None if by is None else place[by] for by in world.commits)
    return world._replace(runs=tuple(world.runs[number] for number in order), commits=commits)


def wander(start: World, rules: Rules, *, schedules: int, seed: str) -> Explored:
    """Follow random schedules to their ends."""
    dice, found = random.Random(seed), Explored()
    calm = replace(rules, crashes=False, most_lost=0, most_hidden=0)
    for _ in range(schedules):
        world = start
        while not all(run.step in ENDED for run in world.runs):
            # Where a mishap is as likely as anything else, no run gets far.
            after = dice.choice(list(moves(world, rules if dice.random() < MISHAPS else calm)))
            for wrong in violations(world, after):
                found.blame(wrong)
            world, found.moves = after, found.moves + 1
        found.ends += 1
        if wrong := recovered(world):
            found.blame(wrong)
    return found


BOUNDLESS = Rules(most_lost=sys.maxsize, most_hidden=sys.maxsize, several=True)
"""Of random schedules, which need no end of what may happen."""
SPLIT = "states of two runs whose drafts are of two generations"
ENOUGH = 1_000_000
"""Random schedules that are worth the time."""
AT_ONCE = 10_000
"""Schedules between two looks at the clock."""


def run(seed: int, deadline: float, folder: Path) -> dict[str, int]:
    """Visit all states of three runs, and of two that plan more than a file holds; then follow random ways of four.

    Raises:
        Broken: a promise did not hold.
    """
    every, split = explore(beginning(3), Rules()), explore(beginning(2), Rules(several=True))
    _require(every)
    _require(split)
    counts = {"states": every.states, "moves": every.moves, "ends": every.ends, SPLIT: split.states, "schedules": 0}
    while counts["schedules"] < ENOUGH and time.monotonic() < deadline:
        some = wander(beginning(4), BOUNDLESS, schedules=AT_ONCE, seed=f"{seed} {counts['schedules'] // AT_ONCE}")
        _require(some)
        counts["schedules"] += some.ends
    return counts


def _require(found: Explored) -> None:
    if found.broken:
        raise Broken("; ".join(f"{wrong}, {times} times" for wrong, times in found.broken.items()))
