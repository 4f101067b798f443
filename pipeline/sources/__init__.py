"""What recordings are there, and their bytes: one module a format.

A new format is a module with one function from a file to its groups of recordings, and a line in `FORMATS`.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.errors import StorageFault, UserError
from pipeline.sources import folder, jsonl, tar
from pipeline.sources.encoded import (
    Content,
    Encoded,
    Group,
    Problem,
    RowsPlanned,
    Unchanged,
    content_of,
    nothing_known,
)
from pipeline.sources.folder import Files
from pipeline.sources.names import AUDIO, COMPRESSED_TARS, MANIFESTS, TARS, Place, extension, refusal, shown, unread
from pipeline.sources.patterns import Found, find
from pipeline.sources.reach import check_folders
from pipeline.sources.reading import MOST_MEMBER, by_seeking, open_audio, read
from pipeline.storage import listing
from pipeline.storage.listing import Entry
from pipeline.storage.parallel import in_order
from pipeline.storage.paths import is_local, redact
from pipeline.storage.read import probe_any
from pipeline.storage.retry import hasty, unreachable
from pipeline.threads import threads

__all__ = [
    "MOST_MEMBER", "Content", "Encoded", "Group", "Problem", "RowsPlanned", "Unchanged", "by_seeking", "check_folders",
    "content_of", "entries", "open_audio", "probe", "read",
]  # fmt: skip

_Item = Group | Problem | Unchanged
_Job = Callable[[], Iterable[_Item]]
Format = Callable[[Entry, Place, RowsPlanned], Iterable[_Item]]
FORMATS: Mapping[str, Format] = {
    **dict.fromkeys(TARS, tar.scan),
    **dict.fromkeys(COMPRESSED_TARS, tar.scan_compressed),
    **dict.fromkeys(MANIFESTS, jsonl.scan),
}
"""End of a lower-case file name -> what plans such a file; audio files are planned by `folder`."""

WORKERS = 12
"""Tars, or bundles of audio files, that are looked at together."""
_BUNDLE = 256
_REMOTE_BUNDLE = 32
"""Audio files that are one job; fewer where each costs a request, so that a small folder keeps all workers busy."""


def entries(
    sources: Sequence[str],
    *,
    corpus: str | None = None,
    known: RowsPlanned = nothing_known,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator[Group | Problem | Unchanged]:
    """Find the recordings of all sources, in a fixed order, and what cannot be planned.

    A file or tar that is known at the version it is listed with is not opened.

    Args:
        sources: files, folders, tar shards, manifests, patterns with braces and wildcards.
        corpus: name that starts every id; by default the URI of each source's folder.
        known: tells what is planned already; called from several threads.
        on_progress: called a few times a second with the number of recordings so far.

    Raises:
        UserError: a source does not exist or holds no audio; a manifest line or a tar's order is wrong.
        StorageFault: a listing or a file broke off; what came before must not be taken for all there is.
    """
    with threads(WORKERS, "find") as pool:
        found = list(pool.map(find, sources))
    progress = _Progress(on_progress)
    for source, items in _by_source(
        sources, found, functools.partial(_jobs, corpus=corpus, known=known, progress=progress)
    ):
        yield from _checked(source, items, progress)
    progress.end()


def probe(sources: Sequence[str]) -> None:
    """Check before any work that every source exists and that one of its first three files can be read.

    Raises:
        UserError: one does not exist, access is denied, or the endpoint is none; with the remedy.
        StorageFault: a local disk or a connection fails, or a store answers that it is busy.
    """
    try:
        with hasty():
            _probe(sources[0])
        with threads(WORKERS, "probe") as pool:
            list(pool.map(_probe, sources[1:]))
    except StorageFault as fault:
        raise unreachable(fault) from fault


def _probe(source: str) -> None:
    found = find(source)
    listed = itertools.chain.from_iterable(map(listing.walk, found.folders))
    probe_any([entry.uri for entry in itertools.islice(itertools.chain(found.files, listed), 3)])


class _Progress:
    """Counts recordings and says so a few times a second."""

    def __init__(self, tell: Callable[[int], None] | None) -> None:
        self._tell = tell
        self._spoke = time.monotonic()
        self.recordings = 0

    def end(self) -> None:
        if self._tell:
            self._tell(self.recordings)

    def alive(self, _: int = 0) -> None:
        if self._tell and time.monotonic() - self._spoke > 0.2:
            self._tell(self.recordings)
            self._spoke = time.monotonic()


class _Tagged(NamedTuple):
    source: int
    item: _Item


def _by_source(
    sources: Sequence[str], found: Sequence[Found], jobs_of: Callable[[Found], Iterable[_Job]]
) -> Iterator[tuple[str, Iterator[_Item]]]:
    """Run the jobs of all sources ahead, and give their items source by source."""
    jobs = (_tagged(number, job) for number, each in enumerate(found) for job in jobs_of(each))
    tagged = in_order(jobs, workers=WORKERS)
    waiting = next(tagged, None)

    def items_of(number: int) -> Iterator[_Item]:
        nonlocal waiting
        while waiting is not None and waiting.source == number:
            yield waiting.item
            waiting = next(tagged, None)

    for number, source in enumerate(sources):
        yield source, items_of(number)


def _tagged(number: int, job: _Job) -> Callable[[], Iterable[_Tagged]]:
    return lambda: (_Tagged(number, item) for item in job())


def _checked(source: str, items: Iterator[_Item], progress: _Progress) -> Iterator[_Item]:
    problem: Problem | None = None
    before = progress.recordings
    for item in items:
        if isinstance(item, Problem):
            problem = problem or item
        else:
            progress.recordings += item.rows if isinstance(item, Unchanged) else len(item)
        progress.alive()
        yield item
    if progress.recordings == before:
        reason = f" ({problem.uri}: {problem.message})" if problem else ""
        raise UserError(
            f"{redact(source)}: no audio found{reason}. Sources are audio files ({', '.join(sorted(AUDIO))}), "
            "tar shards, folders of them, and .jsonl manifests"
        )


def _jobs(found: Found, *, corpus: str | None, known: RowsPlanned, progress: _Progress) -> Iterator[_Job]:
    """Give the jobs of one source in order; manifests count only where they are named."""
    place = Place.of(found.root, corpus)
    yield from _planned(_named(found), place, known, named=True)
    for each in found.folders:
        listed = listing.walk(each, on_progress=progress.alive, special=True)
        apart = functools.partial(folder.with_sidecars, apart=_is_apart)
        yield from _planned(apart(listed), place, known, named=False)


def _is_apart(entry: Entry) -> bool:
    """Whether something in a folder is not one of the audio files and their sidecars."""
    return entry.special or _format(entry.uri, named=False) is not None


def _named(found: Found) -> Iterator[Entry | Files]:
    """Give named files; one of an unknown format is passed over in a pattern and refused alone."""
    for entry in found.files:
        if _format(entry.uri, named=found.manifests) is not None:
            yield entry
        elif extension(entry.uri) in AUDIO or unread(entry.uri):
            yield folder.named(entry)
        elif len(found.files) == 1:
            formats = f"audio ({', '.join(sorted(AUDIO))}), tar, jsonl"
            raise UserError(f"{redact(entry.uri)}: not a format that is read: {formats}")


def _planned(found: Iterable[Entry | Files], place: Place, known: RowsPlanned, *, named: bool) -> Iterator[_Job]:
    """Give jobs for shards and manifests, and for bundles of the audio files that stand between them."""
    most = _BUNDLE if is_local(place.root) else _REMOTE_BUNDLE
    bundle: list[Files] = []
    for each in found:
        if isinstance(each, Files):
            bundle.append(each)
        if bundle and (len(bundle) == most or isinstance(each, Entry)):
            yield functools.partial(folder.plan, bundle, place, known)
            bundle = []
        if isinstance(each, Entry) and (job := _job(each, place, known, named=named)) is not None:
            yield job
    if bundle:
        yield functools.partial(folder.plan, bundle, place, known)


def _job(entry: Entry, place: Place, known: RowsPlanned, *, named: bool) -> _Job | None:
    """Look into a shard or manifest, or tell what cannot be looked into; None where it is of no format."""
    format = _format(entry.uri, named=named)
    if entry.special:
        worth = format is not None or extension(entry.uri) in AUDIO or unread(entry.uri)
        return functools.partial(_unfollowed, entry) if worth else None
    return None if format is None else functools.partial(_opened, format, entry, place, known)


def _unfollowed(entry: Entry) -> Iterator[_Item]:
    yield Problem(shown(entry.uri), "neither a file nor a folder, and never followed")


def _opened(format: Format, entry: Entry, place: Place, known: RowsPlanned) -> Iterator[_Item]:
    if reason := refusal(entry.uri.partition("://")[2]):
        yield Problem(shown(entry.uri), f"the file's name {reason}")
        return
    again = (place.members(entry.uri),)
    try:
        for item in format(entry, place, known):
            yield Problem(item.uri, item.message, again) if isinstance(item, Problem) else item
    except PermissionError:
        yield Problem(entry.uri, "access denied; nothing of it is planned", again)
    except (FileNotFoundError, EOFError):
        yield Problem(entry.uri, "it changed while it was looked at; what comes after is not planned", again)


def _format(uri: str, *, named: bool) -> Format | None:
    name = uri.lower()
    for end, format in FORMATS.items():
        if name.endswith(end) and (named or end not in MANIFESTS):
            return format
    return None
