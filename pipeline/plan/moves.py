"""Where a corpus lies by now that was planned at another place: its ids and versions are those of the plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pipeline.corpus import Recording

MOST = 100
"""Moves that one listing is believed to show; a corpus that moves is one, or one for each of its sources."""


@dataclass(frozen=True, slots=True)
class Moves:
    """How URIs of the plan begin, and how those of the same audio begin now."""

    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def now(self, source: str) -> str:
        """Give the URI by which what was planned at `source` is read."""
        return next((new + source[len(old) :] for old, new in self.pairs if _lies_at(source, old, new)), source)

    def of(self, recording: Recording) -> Recording:
        """Give a recording with the URI by which it is read."""
        return replace(recording, source=self.now(recording.source))


NOWHERE = Moves()
"""Nothing has moved."""


def _lies_at(source: str, old: str, new: str) -> bool:
    """Whether a URI is one of the old place: the new one may be a folder of it, or the old one of the new."""
    if not old.endswith("/"):
        return source == old
    return source.startswith(old) and not (new.startswith(old) and source.startswith(new))


@dataclass(slots=True)
class Moving:
    """Finds moves in what a listing shows at other places than the plan does; hashes stand for what was planned."""

    pairs: list[tuple[str, str]] = field(default_factory=list)

    def explains(self, planned: int, now: str) -> bool:
        """Whether a URI is what became of a planned one, given as a hash, by a move that was seen."""
        return any(_back(now, old, new, planned) for old, new in self.pairs)

    def see(self, planned: int, now: str, read: Callable[[], tuple[str, str]]) -> None:
        """Note that audio of the same id and version is listed at another place; `read` gives id and planned place."""
        if len(self.pairs) < MOST and not self.explains(planned, now):
            id, before = read()
            if before != now:
                self.pairs.append(_beginnings(id, before, now))

    def found(self) -> Moves:
        """All of them, those of the innermost folders first."""
        return Moves(tuple(sorted(self.pairs, key=lambda pair: len(pair[0]), reverse=True)))


def _back(now: str, old: str, new: str, planned: int) -> bool:
    if not new.endswith("/"):
        return now == new and hash(old) == planned
    return now.startswith(new) and hash(old + now[len(new) :]) == planned


def _beginnings(id: str, planned: str, now: str) -> tuple[str, str]:
    """Where the corpus of a recording lay and lies: up to where its id begins to tell the path, its folder otherwise.

    No further up than that: what lies beside the corpus need not have moved with it.
    """
    before, after = planned.split("/"), now.split("/")
    path = id.partition("::")[0].split("/")[1:]
    same = 0
    for told, old, new in zip(path[::-1], before[::-1], after[::-1], strict=False):
        # An id ends with the stretch, if it is of one.
        if old != new or not (told == old or (not same and told.startswith(old))):
            break
        same += 1
    same = same or int(before[-1] == after[-1])
    if not same:
        return planned, now
    return "/".join([*before[:-same], ""]), "/".join([*after[:-same], ""])
