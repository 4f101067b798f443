"""Whether what cannot be read is gone, or out of this node's reach: one without its mount or role blames nobody."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping

from pipeline.errors import StorageFault
from pipeline.storage.listing import holds_anything
from pipeline.storage.paths import parent, redact

REFUSED = ("missing", "unreadable")
"""What a node says of all sources in a storage that it has no access to."""


def check_reach(refused: Mapping[str, tuple[str, str]], reached: Collection[str]) -> None:
    """Believe what was refused where this node reaches other sources there, or looks into their folder.

    A bucket that can be listed may still refuse all that is in it: one source is believed to be closed by itself,
    several are not. A folder that is there but empty is what a mount leaves where it is missing.

    Args:
        refused: sources of a unit, with type and message of why.
        reached: the others.

    Raises:
        StorageFault: it is the node.
    """
    for storage in {_storage(each) for each in refused} - {_storage(each) for each in reached}:
        lost = {source: reason for source, reason in refused.items() if _storage(source) == storage}
        if not any(_believed(source, type, alone=len(lost) == 1) for source, (type, _) in lost.items()):
            source, (_, message) = next(iter(lost.items()))
            raise StorageFault(
                f"{message}, and {socket.gethostname()} does not reach {redact(parent(source))} either: give this node "
                "the mount, role or credentials that it lacks, or forget these recordings if all was deleted there"
            )


def _believed(source: str, type: str, *, alone: bool) -> bool:
    return (alone or type == "missing") and holds_anything(parent(source))


def _storage(source: str) -> str:
    """Scheme and bucket."""
    return "/".join(source.split("/", 3)[:3])
