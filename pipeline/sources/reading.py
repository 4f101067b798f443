"""The bytes of a unit: few large reads, many at once, every file once; what one recording lacks is its own error."""

from __future__ import annotations

import bisect
import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, cast

from pipeline.corpus import WHOLE_BYTES, Recording, Unit
from pipeline.errors import ErrorRow, RecordingError
from pipeline.sources.compression import decompressed
from pipeline.sources.encoded import Encoded
from pipeline.sources.reach import NO_BYTES, REFUSED, check_reach, look, reason_of
from pipeline.sources.tar import normal_name
from pipeline.sources.tarformat import DamagedTar, Member, members
from pipeline.storage.listing import stat
from pipeline.storage.paths import redact
from pipeline.storage.read import MEGABYTE, RangeFile, coalesce, read_range
from pipeline.storage.retry import tell_answers
from pipeline.threads import threads

READERS = 12
"""Requests at the same time."""
MOST_MEMBER = 4 * 10**9
"""Bytes of one recording in a compressed tar, which is held whole: as many as a WAV can have."""
_PIECE = 16 * MEGABYTE
"""Largest request; with `READERS` of them on their way a unit costs its own size and about 200 MB."""
_STEP = 64 * 1024

_Blob = tuple[str, int, str | None]
"""What is read once: source, offset, and member where it must be streamed."""


@dataclass(slots=True)
class _Reading:
    """A unit while it is being read."""

    unit: Unit
    of_source: dict[str, list[int]]
    """Numbers of the recordings of every source."""
    errors: dict[int, ErrorRow] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of every source that is as it was planned."""
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Type and message of why this node does not get a source that was there when it was planned."""
    streamed: dict[_Blob, bytearray] = field(default_factory=dict)

    def fail(self, indices: Sequence[int], type: str, message: str) -> None:
        for index in indices:
            self.errors[index] = ErrorRow("read", type, message)

    def refuse(self, source: str, type: str, message: str) -> None:
        self.fail(self.of_source[source], type, message)
        if type in REFUSED and not self.first(source).missing:
            self.refused[source] = (type, message)

    def first(self, source: str) -> Recording:
        return self.unit.recordings[self.of_source[source][0]]

    def reached(self) -> list[str]:
        """Give the sources that are there, as planned or changed."""
        there = [each for each in self.of_source if not self.first(each).missing]
        return [each for each in there if each not in self.refused]

    def living(self) -> list[tuple[int, Recording]]:
        """Give the recordings whose bytes go into the payload."""
        numbered = enumerate(self.unit.recordings)
        return [(index, each) for index, each in numbered if index not in self.errors and not by_seeking(each)]


def _by_source(unit: Unit) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for index, each in enumerate(unit.recordings):
        found.setdefault(each.source, []).append(index)
    return found


def read(unit: Unit, beat: Callable[[], None] = lambda: None) -> Encoded:
    """Read the encoded audio of a unit.

    Args:
        unit: which.
        beat: is called after each answer of storage, from several threads.

    Recordings whose source is `missing`, `changed` since planning, `unreadable` or `truncated` before their first
    byte get an error with that type; of one that is cut in the middle the bytes before the cut are given, for
    decoding to make the best of.

    Raises:
        StorageFault, UserError: storage failed for longer than the retries, or refuses this node everything.
    """
    reading = _Reading(unit, _by_source(unit))
    with threads(READERS, "read", first=partial(tell_answers, beat)) as pool:
        _check_versions(reading, pool)
        tars = {each.source for _, each in reading.living() if each.streamed}
        for _ in pool.map(lambda source: _stream(reading, source), sorted(tars)):
            pass
        slices, total = _layout(reading)
        payload = _streamed_payload(reading, slices, total)
        _fill(reading, pool, slices, payload)
    check_reach(reading.refused, reading.reached())
    places = {index: _blob(each) for index, each in reading.living()}
    return Encoded(
        recordings=unit.recordings,
        payload=payload.toreadonly(),
        slices=tuple(slices[places[index]] if index in places else None for index in range(len(unit.recordings))),
        errors=reading.errors,
    )


def by_seeking(recording: Recording) -> bool:
    """Say whether the audio is too long to be held: a span, or a stretch of a file above 1 GB."""
    return recording.spans > 1 or (recording.size > WHOLE_BYTES and not recording.streamed)


@contextlib.contextmanager
def open_audio(recording: Recording) -> Iterator[io.BufferedIOBase | io.RawIOBase]:
    """Open the whole audio that a recording is part of, to be read by seeking.

    What fails while it is read is raised when the block ends, even if a decoder took it for the end of the file.

    Raises:
        RecordingError: the source is missing, changed since planning, unreadable, or shorter than planned.
        StorageFault: storage failed for longer than the retries, or is out of this node's reach.
    """
    try:
        size = _planned_size(recording)
        if recording.streamed:
            with tempfile.TemporaryFile() as copy:
                _copy_member(recording, cast(BinaryIO, copy))
                yield cast(io.BufferedIOBase, copy)
        else:
            with RangeFile(recording.source, recording.offset, _available(recording, size)) as file:
                yield file
    except NO_BYTES as error:
        type, message = reason_of(recording.source, error)
        if type in REFUSED:
            check_reach({recording.source: (type, message)}, ())
        raise RecordingError("read", type, message) from error


def _planned_size(recording: Recording) -> int:
    entry = stat(recording.source)
    if entry.version != recording.version:
        raise RecordingError("read", "changed", _changed(recording, entry.version))
    return entry.size


def _changed(recording: Recording, now: str) -> str:
    return f"{redact(recording.source)} is not what was planned ({recording.version}, now {now}); plan again"


def _check_versions(reading: _Reading, pool: ThreadPoolExecutor) -> None:
    sources = reading.of_source
    for source, result in zip(sources, pool.map(look, sources), strict=True):
        first = reading.first(source)
        if isinstance(result, tuple):
            reading.refuse(source, *result)
        elif result.version != first.version:
            reading.fail(reading.of_source[source], "changed", _changed(first, result.version))
        else:
            reading.sizes[source] = result.size


def _available(recording: Recording, size: int) -> int:
    """Give how many bytes of the audio there are; less than planned in a truncated tar."""
    return max(min(recording.size, size - recording.offset), 0)


def _blob(recording: Recording) -> _Blob:
    return recording.source, recording.offset, recording.member if recording.streamed else None


def _layout(reading: _Reading) -> tuple[dict[_Blob, tuple[int, int]], int]:
    """Give every blob its place in the payload, in the order of recordings."""
    slices: dict[_Blob, tuple[int, int]] = {}
    total = 0
    for index, each in reading.living():
        blob = _blob(each)
        if blob in slices:
            continue
        content = reading.streamed.get(blob)
        length = _available(each, reading.sizes[each.source]) if content is None else len(content)
        if length == 0 and each.size > 0:
            reading.fail([index], "truncated", f"{redact(each.source)} ends before {each.member or 'its content'}")
            continue
        slices[blob] = (total, length)
        total += length
    return slices, total


def _streamed_payload(reading: _Reading, slices: dict[_Blob, tuple[int, int]], total: int) -> memoryview:
    """Room for the whole payload, with what was streamed in its place; nothing of that is held twice for long."""
    streamed = reading.streamed
    if len(slices) == 1 and slices.keys() <= streamed.keys():
        return memoryview(streamed.pop(*slices))
    payload = memoryview(bytearray(total))
    while streamed:
        blob, content = streamed.popitem()
        if blob in slices:
            start, length = slices[blob]
            payload[start : start + length] = content
    return payload


def _fill(
    reading: _Reading, pool: ThreadPoolExecutor, slices: dict[_Blob, tuple[int, int]], payload: memoryview
) -> None:
    parts: dict[str, list[tuple[int, int, int]]] = {}
    for (source, offset, member), (place, length) in slices.items():
        for done in range(0, length, _PIECE) if member is None else ():
            part = (offset + done, min(_PIECE, length - done), place + done)
            parts.setdefault(source, []).append(part)
    jobs = [(source, piece, held) for source, ranges in parts.items() for piece, held in _pieces(ranges)]
    failed = pool.map(lambda job: _fetch(job[0], job[1], job[2], payload), jobs)
    for (source, _, _), reason in zip(jobs, failed, strict=True):
        if reason is not None:
            reading.refuse(source, *reason)


def _pieces(ranges: list[tuple[int, int, int]]) -> list[tuple[tuple[int, int], list[tuple[int, int, int]]]]:
    """Join near ranges (start, length, place in the payload) into requests (start, length)."""
    pieces = coalesce([(start, length) for start, length, _ in ranges], piece=_PIECE)
    starts = [start for start, _ in pieces]
    held: list[list[tuple[int, int, int]]] = [[] for _ in pieces]
    for each in ranges:
        held[bisect.bisect_right(starts, each[0]) - 1].append(each)
    return list(zip(pieces, held, strict=True))


def _fetch(
    source: str, piece: tuple[int, int], held: list[tuple[int, int, int]], payload: memoryview
) -> tuple[str, str] | None:
    try:
        block = memoryview(read_range(source, *piece))
    except NO_BYTES as error:
        return reason_of(source, error)
    for start, length, place in held:
        payload[place : place + length] = block[start - piece[0] : start - piece[0] + length]
    return None


def _stream(reading: _Reading, source: str) -> None:
    """Read a compressed tar once and keep the members that the unit asks for."""
    wanted = {each.member: index for index, each in reading.living() if each.source == source}
    damage: str | None = None
    try:
        with decompressed(source) as file:
            for name, member in _wanted(file, set(wanted)):
                if member.size > MOST_MEMBER:
                    reading.fail([wanted[name]], "too_large", _too_large(source, member))
                    continue
                content = reading.streamed.setdefault((source, 0, name), bytearray())
                for chunk in _chunks(file, member.size):
                    content += chunk
                if len(reading.streamed) == len(wanted):
                    break
    except DamagedTar as error:
        damage = f"{redact(source)} {error}"
    except NO_BYTES as error:
        reading.refuse(source, *reason_of(source, error))
        return
    missing = [
        index
        for name, index in wanted.items()
        if (source, 0, name) not in reading.streamed and index not in reading.errors
    ]
    reading.fail(missing, *(("truncated", damage) if damage else ("missing", f"{redact(source)} lacks the member")))


def _too_large(source: str, member: Member) -> str:
    return (
        f"{redact(source)}: {member.size:,} bytes, of which at most {MOST_MEMBER:,} are read from a compressed tar; "
        "pack it into one that is not compressed"
    )


def _wanted(file: BinaryIO, names: set[str | None]) -> Iterator[tuple[str, Member]]:
    for member in members(file):
        name = normal_name(member.name)
        if member.kind == "file" and name in names:
            yield name, member


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Read in small steps, so that a damaged stream gives what comes before the damage."""
    while size > 0 and (chunk := file.read(min(_STEP, size))):
        yield chunk
        size -= len(chunk)


def _copy_member(recording: Recording, copy: BinaryIO) -> None:
    with contextlib.suppress(DamagedTar), decompressed(recording.source) as file:
        for _, member in _wanted(file, {recording.member}):
            for chunk in _chunks(file, member.size):
                copy.write(chunk)
            break
    copy.seek(0)
