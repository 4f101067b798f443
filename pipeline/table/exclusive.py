"""Commands that plan, or forget what is planned, on storage that does not keep them and runs apart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.errors import StorageFault, UserError
from pipeline.quantities import show_seconds
from pipeline.storage.paths import redact
from pipeline.storage.put import probe_write
from pipeline.table import layout
from pipeline.table.lease import EXPIRY, Lease, held, this_host


@contextlib.contextmanager
def exclusive(output: str, command: str) -> Iterator[None]:
    """Have a table to oneself while the block runs; where its storage holds conditional puts nobody needs to.

    Of two that begin at the same moment both may be refused.

    Args:
        output: folder of the table.
        command: its name, which others are told beside the time of its start.

    Raises:
        UserError: a run is at work, or storage refuses puts.
        StorageFault: whether one is cannot be told.
    """
    if probe_write(output).conditional:
        yield
        return
    now = datetime.now(UTC)
    mine = Lease(f"{layout.new_run(now)}-{command}", *this_host(), now.isoformat(timespec="seconds"))
    ignores = "this storage ignores conditional puts (If-None-Match)"
    with held(output, mine) as look:
        if look.fault:
            told = f"whether a run is at work cannot be told, and {ignores}: {look.fault}"
            raise StorageFault(f"{redact(output)}: {told}")
        if look.others:
            lease = look.others[0].lease
            at_work = f"run {lease.run} is at work, as process {lease.process} on {lease.host}"
            raise UserError(
                redact(
                    f"{output}: {at_work}, and {ignores}: it can lose what this command writes. Wait for its end; one "
                    f"that was killed counts for {show_seconds(EXPIRY)}."
                )
            )
        yield
