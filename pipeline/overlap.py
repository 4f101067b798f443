"""Runs that overlap: each shows that it is at work, and is told of the others, or refused beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from pipeline.asked import Asked
from pipeline.errors import UserError
from pipeline.storage.paths import redact
from pipeline.table.lease import Lease, Sign, first, held, this_host


@contextlib.contextmanager
def leased(asked: Asked, *, conditional: bool) -> Generator[None]:
    """Show that this run is at work while the block runs, and say which others are.

    Args:
        asked: the run.
        conditional: whether the storage holds conditional puts; without, of two that plan at once one loses its plan.

    Raises:
        UserError: another one was there first, and it is asked that this one make way; or any is, and storage does not
            keep them apart.
    """
    host, process = this_host()
    mine = Lease(asked.name, host, process, asked.started.isoformat(timespec="seconds"))
    with held(asked.output, mine) as others:
        if asked.config.overlap == "refuse" and (earlier := first(mine, others)):
            raise UserError(
                f"{asked.shown}: {_told(earlier)}, and --overlap refuse does not run beside it. "
                "Wait for its end, or stop it"
            )
        if others and not conditional:
            raise UserError(
                f"{asked.shown}: {_told(others[0])}, and this storage ignores conditional puts (If-None-Match): "
                "a run can lose what another plans. Wait for its end; one that was killed counts for a minute"
            )
        for each in others:
            asked.say(
                f"{asked.shown}: {_told(each)}. Both do no harm: no unit is committed twice, some may be done twice"
            )
        yield


def _told(other: Sign) -> str:
    lease = other.lease
    return redact(f"run {lease.run} is at work, since {lease.started}, as process {lease.process} on {lease.host}")
