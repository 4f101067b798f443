"""The actors of this run, as the cluster knows them: which there are, in what state, and an end of those left over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray._private import state, worker

STAGES = {"Features": "features", "Inference": "model", "Commit": "commit"}
"""Class of a stage -> how it is called; the class is part of the name that Ray Data gives to its actors."""

ENDED = "ended"
"""State of an actor whose work is done, or that is given up."""

_CLASS = re.compile(r"MapBatches\((\w+)\)")


@dataclass(frozen=True, slots=True)
class Actor:
    """One actor of a stage."""

    id: str
    stage: str
    state: str
    """`alive`, `restarting`, `pending`, or `ended`."""
    node: str
    """Address; '' while it has no place."""


def known() -> list[Actor]:
    """Actors of this driver's stages."""
    return [actor for each in _ours() if (actor := _actor(each))]


def living() -> list[Actor]:
    """Actors of this driver's stages that have not ended."""
    return [actor for actor in known() if actor.state != ENDED]


def deaths() -> Counter[str]:
    """Stage -> how often an actor of this driver's died and was started again."""
    found: Counter[str] = Counter()
    for each in _ours():
        named = _CLASS.search(str(each["ActorClassName"]))
        if named and named[1] in STAGES and (times := int(str(each["NumRestarts"]))):
            found[STAGES[named[1]]] += times
    return found


def kill_left() -> None:
    """End every actor that is left, whatever it hangs in; Ray itself waits for one that is at work."""
    core: Any = worker.global_worker
    for actor in living():
        core.core_worker.kill_actor(ray.ActorID.from_hex(actor.id), True)


def _ours() -> list[Mapping[str, object]]:
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    return list(state.actors(job_id=job).values())


def _actor(found: Mapping[str, object]) -> Actor | None:
    named, how = _CLASS.search(str(found["ActorClassName"])), str(found["State"])
    if not named or named[1] not in STAGES:
        return None
    address = found["Address"]
    node = str(address["IPAddress"]) if isinstance(address, dict) else ""
    return Actor(str(found["ActorID"]), STAGES[named[1]], _STATES.get(how, how.lower()), node)


_STATES = {"DEPENDENCIES_UNREADY": "pending", "PENDING_CREATION": "pending", "DEAD": ENDED}
