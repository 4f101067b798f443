"""Whether what cannot be read is gone, or out of this node's reach: one without its mount or role blames nobody."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence

from pipeline.errors import StorageFault
from pipeline.storage.listing import Entry, holds_anything, stat
from pipeline.storage.paths import parent, redact
from pipeline.threads import threads

REFUSED = ("missing", "unreadable")
"""What a node says of all sources in a storage that it has no access to."""
NO_BYTES = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, EOFError)
"""What storage answers about one source that it does not give."""
_READERS = 12
"""Folders that are looked into at the same time."""


def look(source: str) -> Entry | tuple[str, str]:
    """Look at a source; type and message of why it cannot be looked at.

    Raises:
        StorageFault, UserError: see `retry.attempt`.
    """
    try:
        return stat(source)
    except NO_BYTES as error:
        return reason_of(source, error)


def reason_of(source: str, error: OSError | EOFError) -> tuple[str, str]:
    """Give type and message of what storage answers about one source."""
    shown = redact(source)
    if isinstance(error, PermissionError):
        return "unreadable", f"{shown}: access denied"
    if isinstance(error, EOFError):
        return "truncated", str(error)
    return "missing", f"{shown} is no longer there"


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


def check_folders(missing: Mapping[str, Sequence[str]]) -> None:
    """Believe that what is new and listed is missing or closed where this node looks into its folder.

    Args:
        missing: folder -> sources in it, one where it is alone, by two of which more are judged.

    Raises:
        StorageFault: it is the node, or a folder that nobody has.
        UserError: see `retry.attempt`.
    """
    with threads(_READERS, "reach") as pool:
        for folder, lost in zip(missing, pool.map(_lost, missing.values()), strict=True):
            if lost:
                raise StorageFault(
                    f"{redact(folder)}: not there, empty or closed for {socket.gethostname()}, while audio in it is "
                    f"new and listed, such as {redact(missing[folder][0])}: give this node the mount, role or "
                    "credentials that it lacks, or take those lines out of the manifest"
                )


def _lost(sources: Sequence[str]) -> bool:
    """Whether some sources of one folder are out of reach."""
    for source in sources:
        found = look(source)
        if isinstance(found, Entry) or _believed(source, found[0], alone=len(sources) == 1):
            return False
    return True


def _believed(source: str, type: str, *, alone: bool) -> bool:
    return (alone or type == "missing") and holds_anything(parent(source))


def _storage(source: str) -> str:
    """Scheme and bucket."""
    return "/".join(source.split("/", 3)[:3])
