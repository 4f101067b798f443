"""Audio files, one recording each, with sidecars of the same name: `x.txt` and `x.json` beside `x.wav`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.sources import labels
from pipeline.sources.encoded import Group, Problem, RowsPlanned, Unchanged
from pipeline.sources.names import AUDIO, Place, extension, refusal, shown, unread, without_extension
from pipeline.sources.planned import from_file, read_head
from pipeline.storage.listing import Entry
from pipeline.storage.paths import is_local
from pipeline.storage.read import TooLarge, read_bytes
from pipeline.threads import threads

HEADS = 6
"""Files of one bundle whose first bytes are read from an object store at the same time."""


@dataclass(slots=True)
class Files:
    """Audio files of one stem and their sidecars."""

    stem: str
    audio: list[Entry] = field(default_factory=list)
    text: str | None = None
    json: str | None = None
    """URIs of the sidecars."""
    unseen: bool = False
    """Whether the sidecars were not listed, so that they may not be there, or have upper-case extensions."""


def named(entry: Entry) -> Files:
    """Give an audio file that was named by itself; its sidecars are looked for beside it."""
    stem = without_extension(entry.uri)
    return Files(stem, [entry], stem + ".txt", stem + ".json", unseen=True)


def with_sidecars(entries: Iterable[Entry], *, apart: Callable[[Entry], bool]) -> Iterator[Files | Entry]:
    """Bring the files of one stem together, in one pass with memory for a few names; give back what is `apart`.

    Entries must be sorted by path: names that begin with a stem and a dot then stand together, so a stem is
    complete when the first name comes that does not.
    """
    open_stems: list[Files] = []
    for entry in entries:
        if apart(entry):
            yield entry
            continue
        while open_stems and not entry.uri.startswith(open_stems[-1].stem + "."):
            yield from _worth(open_stems.pop())
        stem = without_extension(entry.uri)
        files = next((each for each in open_stems if each.stem == stem), None)
        if files is None:
            files = Files(stem)
            open_stems.append(files)
            open_stems.sort(key=lambda each: len(each.stem))
        _add(files, entry)
    while open_stems:
        yield from _worth(open_stems.pop())


def plan(files: Sequence[Files], place: Place, known: RowsPlanned) -> Iterator[Group | Problem | Unchanged]:
    """Plan audio files by their first bytes; on an object store many are read at once, in the same order.

    A file that is known at its version is not opened, nor are its sidecars: a recording's version is that of its
    audio, so a sidecar that changes later changes nothing that is planned.

    Raises:
        StorageFault: storage failed for longer than the retries.
    """
    looked = [(each, _unchanged(each, place, known)) for each in files]
    if is_local(place.root) or all(len(unchanged) == len(each.audio) for each, unchanged in looked):
        for each, unchanged in looked:
            yield from _plan(each, place, unchanged)
        return
    with threads(HEADS, "heads") as pool:
        for items in pool.map(lambda each: _plan(each[0], place, each[1]), looked):
            yield from items


def _unchanged(files: Files, place: Place, known: RowsPlanned) -> dict[str, Unchanged]:
    """Give those audio files that need not be opened, by URI."""
    found: dict[str, Unchanged] = {}
    for entry in files.audio:
        if refusal(_path(entry)) or unread(entry.uri):
            continue
        name = place.id(place.below(entry.uri))
        if rows := known(name, entry.version):
            found[entry.uri] = Unchanged(name, entry.uri, rows)
    return found


def _plan(files: Files, place: Place, unchanged: Mapping[str, Unchanged]) -> list[Group | Problem | Unchanged]:
    found: list[Group | Problem | Unchanged] = [*unchanged.values()]
    if len(unchanged) == len(files.audio):
        return found
    told = labels.NONE
    audio = [entry for entry in files.audio if entry.uri not in unchanged]
    try:
        told = labels.from_sidecars(_sidecar(files, files.text), _sidecar(files, files.json))
    except ValueError as error:
        again = tuple(place.id(place.below(entry.uri)) for entry in audio)
        found.append(Problem(shown(files.stem), str(error), again))
    for entry in audio:
        if reason := refusal(_path(entry)):
            found.append(Problem(shown(entry.uri), f"the file's name {reason}"))
        elif reason := unread(entry.uri):
            found.append(Problem(entry.uri, reason))
        else:
            head = read_head(entry.uri, 0, entry.size) if entry.size else b""
            found.append((from_file(entry, place, head=head, labels=told),))
    return found


def _sidecar(files: Files, uri: str | None) -> bytes | None:
    if uri is None:
        return None
    content = _content(uri)
    if content is None and files.unseen and files.audio[0].uri.removeprefix(files.stem).isupper():
        # Beside lower-case audio a store is not asked for what is hardly ever there.
        content = _content(files.stem + uri.removeprefix(files.stem).upper())
    return content


def _path(entry: Entry) -> str:
    return entry.uri.partition("://")[2]


def _content(uri: str) -> bytes | None:
    try:
        return read_bytes(uri, most=labels.MAX_SIDECAR)
    except FileNotFoundError:
        return None
    except TooLarge as error:
        raise ValueError(f"its sidecar {shown(uri)} is no label of one recording ({error})") from error
    except (PermissionError, IsADirectoryError) as error:
        raise ValueError(f"its sidecar {shown(uri)} cannot be read ({error.strerror or error})") from error


def _add(files: Files, entry: Entry) -> None:
    last = extension(entry.uri)
    if last in AUDIO or unread(entry.uri):
        files.audio.append(entry)
    elif last == "txt" and entry.size <= labels.MAX_SIDECAR:
        files.text = entry.uri
    elif last == "json" and entry.size <= labels.MAX_SIDECAR:
        files.json = entry.uri


def _worth(files: Files) -> Iterator[Files]:
    if files.audio:
        yield files
