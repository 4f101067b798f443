"""Where audio of the plan may lie by now that was planned at another place: ids and versions are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.corpus import Recording
from pipeline.errors import UserError
from pipeline.plan import generations
from pipeline.storage.listing import stat

MOST = 100
"""Moves that one listing is believed to show; a corpus that moves is one, or one for each of its sources."""


@dataclass(frozen=True, slots=True)
class Moves:
    """How URIs of the plan begin, and how those of the same audio begin now.

    Not all that lies at an old place need have moved, so each recording is looked for before it is believed.
    """

    pairs: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def applied(self, recordings: Sequence[Recording]) -> tuple[Recording, ...]:
        """Give recordings with the URIs by which they are read: a new place where it has the planned version.

        Raises:
            StorageFault: it cannot be told whether it has.
        """
        asked = sorted({(each.source, each.version) for each in recordings})
        now = dict(zip(asked, generations.of_each(lambda pair: self._now(*pair), asked), strict=True))
        return tuple(replace(each, source=now[each.source, each.version]) for each in recordings)

    def _now(self, source: str, version: str) -> str:
        return next((place for place in self.candidates(source) if _version(place) == version), source)

    def candidates(self, source: str) -> list[str]:
        """Places where audio may lie that was planned at `source`, the most likely one first."""
        return [new + source[len(old) :] for old, new in self.pairs if _began(source, old)]


NOWHERE = Moves()
"""Nothing has moved."""


def _began(uri: str, beginning: str) -> bool:
    return uri.startswith(beginning) if beginning.endswith("/") else uri == beginning


def _version(uri: str) -> str | None:
    try:
        return stat(uri).version
    except (OSError, UserError):
        return None


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
    return _began(now, new) and hash(old + now[len(new) :]) == planned


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
