"""What a run is at while nothing moves, in words: which stage holds it, what it waits for. Pure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.corpus import Seconds
from pipeline.engine.actors import ENDED, Actor
from pipeline.engine.ledger import Entry
from pipeline.engine.resources import Pools
from pipeline.quantities import show_seconds

MOST_NAMED = 3
"""Workers at work that a message names."""


@dataclass(frozen=True, slots=True)
class View:
    """What the cluster said when it was last looked at."""

    entries: tuple[Entry, ...] = ()
    """Workers at work, the one that has been so for longest first."""
    actors: tuple[Actor, ...] = ()
    free: Mapping[str, float] = field(default_factory=dict)
    """Ray's names of resources -> how much of them nobody has."""
    total: Mapping[str, float] = field(default_factory=dict)


def holds(view: View | None, workers: Mapping[str, int], stall: Seconds) -> str:
    """Why the run is ended: which stage holds it, at what, and how the actors are.

    Args:
        view: None where the cluster did not answer.
        workers: stage -> how many it should have.
        stall: for how long nothing has moved.
    """
    said = f"no unit moved in any stage for {show_seconds(stall)} (--stall-timeout)"
    if view is None:
        return f"{said}, and the cluster does not say why: it does not answer"
    return f"{said}: {_holder(view, workers)}; actors: {_actors(view, workers)}"


def lacks(view: View | None, pools: Pools, workers: Mapping[str, int]) -> str | None:
    """What a run that has not begun is waiting for; None where all its actors have begun, or nobody knows."""
    if view is None:
        return None
    late = _late(view, workers)
    if not late:
        return None
    begun = ", ".join(f"{workers[stage] - count} of {workers[stage]} {stage}" for stage, count in late.items())
    cpus = sum(count * pools.cpus_of(stage) for stage, count in late.items())
    gpus = late.get("model", 0) * pools.model_gpus / len(pools.teams)
    needs, has = [f"{cpus:g} CPUs"], [_share(view, "CPU", "CPUs")]
    if gpus:
        needs, has = [*needs, f"{gpus:g} GPUs"], [*has, _share(view, "GPU", "GPUs")]
    if memory := sum(count * pools.memory_of(stage) for stage, count in late.items()):
        told = [view.free.get("memory", 0) / 1e9, view.total.get("memory", 0) / 1e9]
        needs, has = [*needs, f"{memory / 1e9:.1f} GB"], [*has, f"{told[0]:.1f} of {told[1]:.1f} GB of memory"]
    return f"waiting for {' and '.join(needs)}, the cluster has {' and '.join(has)} free; begun have {begun} actors"


def _late(view: View, workers: Mapping[str, int]) -> dict[str, int]:
    """Stage -> actors of it that have not begun; a stage whose actors end has none, for it has done all its work."""
    states: dict[str, Counter[str]] = {stage: Counter() for stage in workers if stage != "read"}
    for actor in view.actors:
        states[actor.stage][actor.state] += 1
    late = {stage: workers[stage] - found["alive"] for stage, found in states.items() if not _over(found)}
    return {stage: count for stage, count in late.items() if count > 0}


def _over(states: Counter[str]) -> bool:
    return bool(states[ENDED]) and not states["pending"] and not states["restarting"]


def _share(view: View, name: str, words: str) -> str:
    return f"{view.free.get(name, 0):g} of {view.total.get(name, 0):g} {words}"


def _holder(view: View, workers: Mapping[str, int]) -> str:
    if view.entries:
        named = "; ".join(_told(each) for each in view.entries[:MOST_NAMED])
        more = len(view.entries) - MOST_NAMED
        return f"{view.entries[0].stage} holds it, at {named}" + (f" and {more} more" if more > 0 else "")
    for stage, count in _late(view, workers).items():
        free = ", ".join(f"{view.free.get(name, 0):g} {name}" for name in ("CPU", "GPU") if name in view.total)
        begun = f"{workers[stage] - count} of {workers[stage]}"
        return f"{stage} holds it, {begun} actors have begun and the cluster has {free} free"
    return "no worker is at work, so Ray holds it"


def _told(entry: Entry) -> str:
    since = show_seconds(max(0.0, time.time() - entry.since))
    died = f", over which {entry.deaths} workers died before" if entry.deaths else ""
    which = "the batch of" if entry.stage == "model" else "at"
    recording = f" ({which} {entry.recording})" if entry.recording else ""
    return f"unit {entry.unit[:8]}{recording} on {entry.worker} for {since}{died}"


def _actors(view: View, workers: Mapping[str, int]) -> str:
    return ", ".join(
        f"{stage} {_states([actor for actor in view.actors if actor.stage == stage], count)}"
        for stage, count in workers.items()
        if stage != "read"
    )


def _states(actors: Sequence[Actor], wanted: int) -> str:
    counts = Counter(f"{actor.state}{f' ({actor.node})' if actor.state != 'alive' and actor.node else ''}"
                     for actor in actors)  # fmt: skip
    told = [f"{counts.pop('alive', 0)} of {wanted} alive", *(f"{count} {how}" for how, count in counts.items())]
    return " and ".join(told)
