"""Runs that overlap: each shows that it is at work, and is told of the others, or refused beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence

from pipeline import stopping
from pipeline.asked import Asked
from pipeline.errors import StorageFault, UserError
from pipeline.hanging import storage_watched
from pipeline.quantities import show_seconds
from pipeline.storage.paths import redact
from pipeline.storage.retry import at_once
from pipeline.table.lease import BEAT, EXPIRY, Lease, Sign, first, held, signs, this_host

AGAIN = BEAT + 2.0
"""Seconds after which a run that has seen another one begin looks again: that one has made way by then, or stays."""
_EXPIRY = show_seconds(EXPIRY)


@contextlib.contextmanager
def leased(asked: Asked, *, conditional: bool) -> Generator[None]:
    """Show that this run is at work while the block runs, and say which others are.

    Args:
        asked: the run.
        conditional: whether the storage holds conditional puts; without, of two that plan at once one loses its plan.

    Raises:
        UserError: another one was there first, and it is asked that this one make way; or any is, and storage does not
            keep them apart.
        StorageFault: either matters, and the storage does not tell.
    """
    host, process = this_host()
    mine = Lease(asked.name, host, process, asked.started.isoformat(timespec="seconds"))
    refuse = asked.config.overlap == "refuse"
    with contextlib.ExitStack() as ending:
        with storage_watched(asked, "looking for other runs"):
            look = ending.enter_context(held(asked.output, mine, beat=BEAT))
        if look.fault:
            unseen = f"{asked.shown}: whether another run is at work cannot be told: {look.fault}"
            if refuse or not conditional:
                why = "--overlap refuse" if refuse else "storage that ignores conditional puts (If-None-Match)"
                raise StorageFault(f"{unseen}. With {why} no run goes on without that; run it again")
            asked.say(unseen)
        if refuse:
            _make_way(asked, mine, look.others)
        if look.others and not conditional:
            raise UserError(
                f"{asked.shown}: {_told(look.others[0])}, and this storage ignores conditional puts (If-None-Match): "
                f"a run can lose what another plans. Wait for its end; one that was killed counts for {_EXPIRY}"
            )
        for each in look.others:
            asked.say(
                f"{asked.shown}: {_told(each)}. Both do no harm: no unit is committed twice, some may be done twice"
            )
        yield


def _make_way(asked: Asked, mine: Lease, others: Sequence[Sign]) -> None:
    """End this run where another one was there first.

    Raises:
        UserError: one was.
        StorageFault: the storage does not tell.
    """
    earlier = first(mine, others)
    if others and earlier is None:
        # Those have only begun, under later names. Who saw this run has gone by then; who looked before its sign was
        # there goes on, and knows nothing of it.
        asked.say(f"{asked.shown}: {_told(others[0])}, and has just begun. Looking again in {show_seconds(AGAIN)}")
        stopping.waited(AGAIN)
        with storage_watched(asked, "looking for other runs"):
            earlier = _still_there(asked, others)
    if earlier:
        raise UserError(
            f"{asked.shown}: {_told(earlier)}, and --overlap refuse does not run beside it. "
            "Wait for its end, or stop it"
        )


def _still_there(asked: Asked, others: Sequence[Sign]) -> Sign | None:
    """One of those that still has its sign."""
    runs = {each.lease.run for each in others}
    try:
        with at_once():
            return next((each for each in signs(asked.output) if each.lease.run in runs), None)
    except UserError as error:
        raise StorageFault(f"{asked.shown}: whether another run is at work cannot be told: {error}") from error


def _told(other: Sign) -> str:
    lease = other.lease
    return redact(f"run {lease.run} is at work, since {lease.started}, as process {lease.process} on {lease.host}")
