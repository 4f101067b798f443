"""An actor that its cluster has taken for dead ends itself.

Ray ends the actors of a driver that is gone. One that was being started anew at that moment, as its node had died, was
seen to stay, with its memory and, on other machines, its GPU.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time

import ray
from ray._private import state

from pipeline.corpus import Seconds

log = logging.getLogger(__name__)

EVERY: Seconds = 20.0
"""Between two questions to the head of the cluster."""


@functools.cache
def leave_when_dead(every: Seconds = EVERY) -> None:
    """End this process, if it is an actor's, soon after the head of the cluster has taken the actor for dead."""
    if ray.is_initialized() and (actor := ray.get_runtime_context().get_actor_id()):
        threading.Thread(target=_watch, args=(actor, every), name="voxmill-orphans", daemon=True).start()


def _watch(actor: str, every: Seconds) -> None:
    while not dead(actor):
        time.sleep(every)
    log.warning("the cluster has taken this worker for dead, and so it ends")
    os._exit(0)


def dead(actor: str) -> bool:
    """Whether the head says so; one that says nothing, or knows of no such actor, may be back."""
    try:
        return bool(state.actors(actor_id=actor).get("State") == "DEAD")
    except Exception:
        log.debug("the head does not say whether this worker is dead", exc_info=True)
        return False
