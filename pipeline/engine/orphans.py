"""A worker whose run is over ends itself.

Ray ends the actors of a driver that is gone. One that it was starting anew at that moment, elsewhere than on the node
that it had lost, was seen to stay, with its memory and its GPU.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any

import ray
from ray._private import worker

from pipeline.corpus import Seconds

log = logging.getLogger(__name__)

EVERY: Seconds = 20.0
"""Between two questions to the head of the cluster, each of which takes it less than a millisecond."""


def leave_with_run(*, every: Seconds = EVERY) -> None:
    """End this process, if it is an actor's, soon after the driver that it works for is gone."""
    if ray.is_initialized() and ray.get_runtime_context().get_actor_id():
        job = ray.get_runtime_context().get_job_id()
        threading.Thread(target=_watch, args=(job, every), name="voxmill-orphans", daemon=True).start()


def _watch(job: str, every: Seconds) -> None:
    while not _over(job):
        time.sleep(every)
    log.warning("the run is over, and so is this worker")
    os._exit(0)


def _over(job: str) -> bool:
    """Whether the head says so; one that says nothing may be back."""
    core: Any = worker.global_worker
    try:
        found = core.gcs_client.get_all_job_info(
            job_or_submission_id=job,
            skip_submission_job_info_field=True,
            skip_is_running_tasks_field=True,
            timeout=EVERY,
        )
        return any(each.is_dead for each in found.values())
    except Exception:
        log.debug("the head does not say whether the run is over", exc_info=True)
        return False
