"""What every worker is at work on, kept by the cluster itself: it outlives the worker, and the driver reads it.

An entry is written when a stage begins with a unit and taken away when it ends. One that is there already was left by
a worker that died over the unit, or was killed while it had it; where its node went, that says nothing about the unit.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from ray.experimental import internal_kv

from pipeline.corpus import Seconds
from pipeline.engine import nodes

log = logging.getLogger(__name__)

BEAT: Seconds = 5.0
"""Between two notes of how far a worker is; far less than anybody waits for one."""

_NAMESPACE = "voxmill"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A worker at work."""

    stage: str
    unit: str
    worker: str
    """Node and process."""
    since: float
    """Seconds since the epoch, by the worker's clock."""
    deaths: int = 0
    """Workers of this stage that began with the unit before and did not end, though their nodes are there to stay."""
    step: int = 0
    """Notes of progress so far."""
    recording: str = ""
    """Id of the recording at work, of the first of its batch in the model; '' where none is, or many are: in a read."""
    node: str = ""
    died_on: tuple[str, ...] = ()
    """Nodes of all workers of this stage that began with the unit before and did not end."""


class AtWork:
    """One stage at work on one unit."""

    def __init__(self, key: str, entry: Entry) -> None:
        self._key = key
        self._entry = entry
        self._recording = ""
        self._due: threading.Timer | None = None
        self._writing = threading.Lock()
        self._over = False

    @property
    def deaths(self) -> int:
        """Workers that died over it, see `Entry`."""
        return self._entry.deaths

    @property
    def attempt(self) -> int:
        """Workers of this stage that have begun with the unit and did not end, wherever they went, and this one."""
        return 1 + len(self._entry.died_on)

    def beat(self, recording: str = "") -> None:
        """Note that the work goes on, with this recording; cheap, however often it is called.

        It is written down soon, not now: the last name before a worker hangs is the one that matters.
        """
        self._recording = recording
        if self._due is None:
            self._due = threading.Timer(BEAT, self._tell)
            self._due.daemon = True
            self._due.start()

    def end(self) -> None:
        """Take the entry away."""
        with self._writing:
            self._over = True
            if self._due:
                self._due.cancel()
            _quietly(lambda: internal_kv._internal_kv_del(self._key, namespace=_NAMESPACE), 0)

    def _tell(self) -> None:
        with self._writing:
            self._due = None
            if not self._over:
                self._entry = replace(self._entry, step=self._entry.step + 1, recording=self._recording)
                _quietly(lambda: _put(self._key, self._entry), None)


@contextmanager
def at_work(run: str, stage: str, unit: str) -> Iterator[AtWork]:
    """Keep an entry while the block runs; without a cluster, none."""
    key = f"{run}/{stage}/{unit}"
    entry = Entry(stage, unit, f"{socket.gethostname()}:{os.getpid()}", time.time(), node=_quietly(nodes.here, ""))
    begun = AtWork(key, _quietly(lambda: _begun(key, entry), entry))
    try:
        yield begun
    finally:
        begun.end()


def entries(run: str) -> list[Entry]:
    """All workers at work, the one that has been so for longest first."""
    found = [_get(key) for key in internal_kv._internal_kv_list(f"{run}/", namespace=_NAMESPACE)]
    return sorted((each for each in found if each), key=lambda each: each.since)


def forget(run: str) -> None:
    """Take away what dead workers left."""
    _quietly(lambda: internal_kv._internal_kv_del(f"{run}/", del_by_prefix=True, namespace=_NAMESPACE), 0)


def _begun(key: str, entry: Entry) -> Entry:
    if not _put(key, entry, overwrite=False):
        return entry
    before = _get(key)
    died_on = (*before.died_on, before.node) if before else ()
    # A node that is given up for dead, or has had notice, took its workers along, whatever they were at.
    staying = nodes.staying() if died_on else set()
    entry = replace(entry, died_on=died_on, deaths=sum(node in staying for node in died_on))
    _put(key, entry)
    return entry


def _put(key: str, entry: Entry, *, overwrite: bool = True) -> bool:
    """Whether there was one."""
    return bool(internal_kv._internal_kv_put(key, json.dumps(asdict(entry)), overwrite, namespace=_NAMESPACE))


def _get(key: str | bytes) -> Entry | None:
    value = internal_kv._internal_kv_get(key, namespace=_NAMESPACE)
    if not value:
        return None
    told = json.loads(value)
    return Entry(**told | {"died_on": tuple(told["died_on"])})


def _quietly(work: Callable[[], _T], otherwise: _T) -> _T:
    """The ledger helps to find faults and must not be one: a unit is done without it too."""
    if not internal_kv._internal_kv_initialized():
        return otherwise
    try:
        return work()
    except Exception:
        log.warning("the cluster does not keep the ledger", exc_info=True)
        return otherwise
