"""A sign of life of each run: `OUTPUT/_leases/<run>.json`, put again every few seconds, gone when the run has ended.

It locks nothing, for runs that overlap do no harm: who comes second is told, and may be refused. How old a sign is says
the storage: this run's own sign is put first, and its time of modification compared with those of the others. So no two
clocks are compared, and a sign that has not been renewed for `EXPIRY` belongs to a run that died.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime

from pipeline import documents
from pipeline.corpus import Seconds
from pipeline.errors import StorageFault, UserError
from pipeline.overdue import beside, within
from pipeline.storage.listing import list_names, modified
from pipeline.storage.paths import redact
from pipeline.storage.put import delete, put
from pipeline.storage.read import read_bytes
from pipeline.storage.retry import at_once
from pipeline.table import layout

BEAT: Seconds = 15.0
"""Between two signs of a run."""
EXPIRY: Seconds = 12 * BEAT
"""After so long without one a run is taken for dead. By judgement: a run that was killed is started again more often
than a store refuses every sign of one that lives for three minutes."""
PATIENCE: Seconds = 4.0
"""In which storage has a last sign, and takes it away: who ends a run by a signal waits for ten seconds, often."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a run says of itself."""

    run: str
    host: str
    process: int
    started: str
    """UTC, ISO 8601, by the clock of its host."""
    beats: int = 0
    """Signs since the first one."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A lease as it was found, and when the storage took it."""

    lease: Lease
    at: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """What a run sees of the others as it begins."""

    others: list[Sign]
    """Those that are at work, as far as the storage tells."""
    fault: str = ""
    """Why it does not tell; '' where it does."""


@contextlib.contextmanager
def held(output: str, lease: Lease, *, beat: Seconds = BEAT) -> Iterator[Look]:
    """Hold a lease, and look for other runs that are at work.

    Storage that refuses a sign changes nothing but what this run and others can see.
    """
    uri, ended = layout.lease_file(output, lease.run), threading.Event()
    look = _look(output, lease)
    thread = threading.Thread(target=_beat, args=(uri, lease, ended, beat), name="lease", daemon=True)
    thread.start()
    try:
        yield look
    finally:
        ended.set()
        # A sign that is just being put would come back after it is deleted; it would expire.
        thread.join(timeout=PATIENCE)
        release(output, lease.run)


def release(output: str, run: str) -> None:
    """Take a run's sign away; where the storage refuses, or does not answer, it expires."""

    def take() -> None:
        with at_once():
            delete(layout.lease_file(output, run))

    within(PATIENCE, take)


def signs(output: str) -> list[Sign]:
    """Leases of all runs that have not ended, dead ones too; what is none, or has gone since, is left out.

    Raises:
        StorageFault, UserError: they cannot be listed, or one cannot be read now.
    """
    found = []
    for name in list_names(layout.leases_folder(output)):
        if run := layout.run_of(name):
            uri = layout.lease_file(output, run)
            with contextlib.suppress(OSError, ValueError, TypeError):
                at = modified(uri)
                found.append(Sign(_read(uri, run), at))
    return found


def _read(uri: str, run: str) -> Lease:
    """A lease of a run; a ValueError, or what a file gives, where it is none."""
    # Its name says which run it is of: what a file says of itself is not deleted by.
    found = replace(Lease(**documents.parse(read_bytes(uri, most=documents.LARGEST))), run=run)
    kinds = (str, str, int, str, int)
    if any(type(value) is not kind for value, kind in zip(astuple(found), kinds, strict=True)):
        raise ValueError("no lease")
    if not f"{found.host}{found.started}".isprintable():
        raise ValueError("what no host is called")
    return found


def this_host() -> tuple[str, int]:
    """Name of this machine, and number of this process."""
    return socket.gethostname(), os.getpid()


def first(mine: Lease, others: Sequence[Sign]) -> Sign | None:
    """The other run that was there first, which this one should make way for; None where there is none. Pure.

    Of two that have both just begun, one goes on: the one whose name comes first.
    """
    before = [each for each in others if each.lease.beats or each.lease.run < mine.run]
    return min(before, key=lambda each: each.lease.run) if before else None


def _look(output: str, mine: Lease) -> Look:
    """Put the first sign and see who else is at work; leases of dead runs are removed."""
    try:
        with at_once():
            _put(layout.lease_file(output, mine.run), mine)
            found = signs(output)
    except (StorageFault, UserError) as error:
        return Look([], str(error))
    now = next((each.at for each in found if each.lease.run == mine.run), None)
    if now is None:
        return Look([], f"{redact(layout.leases_folder(output))} does not show what was just put there")
    alive = [each for each in found if (now - each.at).total_seconds() < EXPIRY]
    with contextlib.suppress(StorageFault, UserError), at_once():
        for each in found:
            if each not in alive:
                delete(layout.lease_file(output, each.lease.run))
    return Look([each for each in alive if each.lease.run != mine.run])


def _beat(uri: str, lease: Lease, ended: threading.Event, beat: Seconds) -> None:
    while not ended.wait(beat):
        lease = replace(lease, beats=lease.beats + 1)
        # As patient as with all else: a busy store is to have the sign once it takes anything.
        with contextlib.suppress(StorageFault, UserError), beside():
            _put(uri, lease)


def _put(uri: str, lease: Lease) -> None:
    put(uri, (json.dumps(asdict(lease)) + "\n").encode())
