"""JSONL manifests: one object a line with `audio_filepath` or `path`, and what is known about that audio."""

from __future__ import annotations

import itertools
import math
import posixpath
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import documents
from pipeline.corpus import WHOLE_SECONDS, Recording, Seconds, SecondsFrom
from pipeline.errors import UserError
from pipeline.sources import labels
from pipeline.sources.encoded import Group, Problem, RowsPlanned, Unchanged, content_of
from pipeline.sources.headers import Measured
from pipeline.sources.names import Place, extension, without_extension
from pipeline.sources.planned import measure_file, read_head
from pipeline.storage.lines import pieces
from pipeline.storage.listing import Entry, stat
from pipeline.storage.paths import canonical, parent
from pipeline.storage.secrets import redact, refuse_secrets
from pipeline.threads import threads

LOOKS = 48
"""Audio files that are looked at in storage at the same time."""
LARGEST = 4 * 10**9
"""Bytes of a manifest, whose lines are held: twenty million of them."""
MISSING = "missing"
"""Version of an audio file that was not there when its line was planned."""
_FOREVER: Seconds = 1e12
"""30,000 years: no time of audio."""
_BYTE_ORDER = b"\xef\xbb\xbf"
_OWN = ("audio_filepath", "path", "id", "offset", "duration")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a manifest, checked."""

    audio: str
    """As the manifest writes it."""
    id: str | None
    offset: Seconds | None
    duration: Seconds | None
    rest: dict[str, Any]
    """Fields that become labels: nothing is made of them while lines are checked, or are known."""


def scan(entry: Entry, place: Place, known: RowsPlanned) -> Iterator[Group | Problem | Unchanged]:
    """Plan a manifest: lines of one audio file are one group, in the order of first appearance.

    An audio file that is missing is listed all the same; where it is new it ends as an error when it is read. One of
    which all lines are known at its version is looked at, not opened. What identifies a line is its id: its own, or
    path, offset and duration. So text and metadata that change later change nothing that is planned. Credentials in
    those are masked, while in a path or an id they are refused: what names audio cannot be another text.

    Raises:
        UserError: a line is wrong, or holds credentials; names file and line number. Every line is checked before
            any is planned. Or there are more bytes than are held.
        StorageFault: storage failed for longer than the retries.
    """
    manifest = bytearray()
    groups = _grouped(entry, manifest)
    with threads(LOOKS, "manifest") as pool:
        # A bounded number of groups at a time: a manifest may have millions.
        while some := list(itertools.islice(groups, 64 * LOOKS)):
            parsed = [[_parse(bytes(manifest[a:b]), entry.uri, 0) for a, b in group] for group in some]
            for found in pool.map(lambda lines: _plan(lines, entry.uri, place, known), parsed):
                yield from found


def _grouped(entry: Entry, manifest: bytearray) -> Iterator[list[tuple[int, int]]]:
    """Check all lines and keep them in `manifest`; give (start, stop) of each, those of one audio file together."""
    if entry.size > LARGEST:
        raise UserError(
            f"{entry.uri}: {entry.size:,} bytes, of which at most {LARGEST:,} are read from one manifest; "
            "split it into several"
        )
    # 24 bytes of memory a line.
    starts, stops, marks = array("q"), array("q"), array("q")
    for number, piece in enumerate(pieces(entry.uri, entry.size), start=1):
        line = piece.removeprefix(_BYTE_ORDER if number == 1 else b"").removesuffix(b"\n")
        if line.strip():
            parsed = _parse(line, entry.uri, number)
            for kept in filter(None, (parsed.audio, parsed.id)):
                refuse_secrets(kept, f"{entry.uri}, line {number}: ")
            # Equal marks of different files only put them into one unit.
            marks.append(hash(parsed.audio))
            starts.append(len(manifest))
            manifest += line
            stops.append(len(manifest))
    return _by_first_appearance(*(np.array(column, dtype=np.int64) for column in (marks, starts, stops)))


def _by_first_appearance(marks: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> Iterator[list[tuple[int, int]]]:
    _, first, which = np.unique(marks, return_index=True, return_inverse=True)
    order = np.argsort(first[which], kind="stable")
    edges = [0, *np.flatnonzero(np.diff(first[which][order])) + 1, len(marks)]
    for begin, end in itertools.pairwise(edges):
        lines = order[begin:end]
        if len(lines):
            yield list(zip(starts[lines].tolist(), stops[lines].tolist(), strict=True))


def _parse(line: bytes, uri: str, number: int) -> Line:
    try:
        fields = documents.parse(line)
    except ValueError as error:
        raise UserError(f"{uri}, line {number}: not JSON ({error}); a manifest has one JSON object a line") from error
    if not isinstance(fields, dict):
        raise UserError(f"{uri}, line {number}: a manifest has one JSON object a line, not {_short(fields)}")
    try:
        return _checked(fields)
    except ValueError as error:
        raise UserError(f"{uri}, line {number}: {error}") from error


def _checked(fields: dict[str, Any]) -> Line:
    names = [name for name in ("audio_filepath", "path") if fields.get(name) is not None]
    audio = fields[names[0]] if names else None
    if not isinstance(audio, str) or not audio or "\0" in audio or not documents.is_text(audio):
        raise ValueError(f"audio_filepath (or path) must name an audio file, not {_short(audio)}")
    given = fields.get("id")
    if given is not None and (not isinstance(given, str) or not given or not documents.is_text(given)):
        raise ValueError(f"id must be text, not {_short(given)}")
    text = fields.get("text")
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text must be text, not {_short(text)}")
    own = (*_OWN[2:], *names[:1], *(("text",) if text is None else ()))
    rest = {name: value for name, value in fields.items() if name not in own}
    return Line(audio, given, _time(fields, "offset"), _time(fields, "duration"), rest)


def _labels(line: Line) -> labels.Labels:
    return labels.from_fields({name: _plain(value) for name, value in line.rest.items()})


def _time(fields: dict[str, Any], name: str) -> Seconds | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _FOREVER:
        raise ValueError(f"{name} must be seconds, 0 or more, not {_short(value)}")
    return float(value)


def _plain(value: Any) -> Any:
    """Replace NaN and infinity, which are no JSON, by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _Found:
    """A line and the audio file that it names."""

    line: Line
    entry: Entry
    path: str
    """Of the audio, below the source."""


def _plan(lines: list[Line], manifest: str, place: Place, known: RowsPlanned) -> list[Group | Unchanged]:
    unchanged: list[Group | Unchanged] = []
    new: list[_Found] = []
    entries: dict[str, Entry] = {}
    for line in lines:
        try:
            uri, path = _located(line.audio, manifest, place)
        except UserError as error:
            raise UserError(f"{manifest}: {error}") from error
        if uri not in entries:
            entries[uri] = _entry(uri)
        found = _Found(line, entries[uri], path)
        rows = _rows(found, place, known)
        if rows:
            unchanged.append(Unchanged(_id(line, path, place), uri, rows))
        else:
            new.append(found)
    return [*unchanged, _group(new, place)] if new else unchanged


def _rows(found: _Found, place: Place, known: RowsPlanned) -> int:
    # A line with an id of its own may have become long enough to be cut.
    long = found.line.duration is not None and found.line.duration > WHOLE_SECONDS
    content = content_of(found.entry.version, *_stretch(found.line))
    return 0 if long else known(_id(found.line, found.path, place), content)


def _group(lines: list[_Found], place: Place) -> Group:
    declared = all(each.line.duration is not None and each.line.duration <= WHOLE_SECONDS for each in lines)
    measured = {each.entry.uri: Measured(0.0, "estimate", 0) if declared else _measured(each.entry) for each in lines}
    return tuple(_recording(each, measured[each.entry.uri], place) for each in lines)


def _located(audio: str, manifest: str, place: Place) -> tuple[str, str]:
    """Give URI and path below the source; relative paths start at the manifest, and may climb from there."""
    if "://" in audio or audio.startswith(("/", "~")):
        uri = canonical(audio)
        return uri, place.below(uri)
    scheme, _, folder = parent(manifest).partition("://")
    return canonical(f"{scheme}://{posixpath.normpath(f'{folder}/{audio}')}"), posixpath.normpath(audio)


def _entry(uri: str) -> Entry:
    try:
        return stat(uri)
    except (FileNotFoundError, IsADirectoryError, PermissionError, NotADirectoryError):
        return Entry(uri, 0, MISSING)


def _measured(entry: Entry) -> Measured:
    if entry.version == MISSING:
        return Measured(0.0, "estimate", 0)
    format = extension(entry.uri)
    head = read_head(entry.uri, 0, entry.size) if entry.size else b""
    return measure_file(entry, head, format)


def _id(line: Line, path: str, place: Place) -> str:
    if line.id:
        return line.id
    whole = place.id(path)
    if line.offset is None and line.duration is None:
        return whole
    start, end = _stretch(line)
    return f"{whole}@{_number(start)}-{_number(end)}"


def _stretch(line: Line) -> tuple[Seconds, Seconds | None]:
    start = line.offset or 0.0
    return start, None if line.duration is None else start + line.duration


def _recording(found: _Found, measured: Measured, place: Place) -> Recording:
    line, entry = found.line, found.entry
    start, end = _stretch(line)
    seconds, seconds_from = _length(line.duration, start, measured)
    given = _labels(line)
    return Recording(
        id=_id(line, found.path, place),
        source=entry.uri,
        key=without_extension(found.path),
        version=entry.version,
        recording=place.id(found.path),
        format=extension(found.path),
        seconds=seconds,
        seconds_from=seconds_from,
        size=entry.size,
        sample_rate=measured.sample_rate,
        start=start,
        end=end,
        reference=given.reference,
        metadata=given.metadata,
    )


def _length(declared: Seconds | None, start: Seconds, measured: Measured) -> tuple[Seconds, SecondsFrom]:
    """Planned length of a line; one that would be cut must be there, whatever the manifest says."""
    if declared is not None and declared <= WHOLE_SECONDS:
        return declared, "header"
    left = max(measured.seconds - start, 0.0)
    return left if declared is None else min(declared, left), measured.seconds_from


def _number(seconds: Seconds | None) -> str:
    """Write seconds to the microsecond, without needless zeros; nothing for the open end."""
    return "" if seconds is None else f"{seconds:.6f}".rstrip("0").rstrip(".")


def _short(value: Any) -> str:
    text = redact(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."
