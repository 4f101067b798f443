"""Tar shards in the WebDataset convention: a key ends at the first dot; sidecars stand beside the audio."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from pipeline.corpus import Recording
from pipeline.documents import is_text
from pipeline.errors import UserError
from pipeline.sources.compression import decompressed
from pipeline.sources.durations import measure
from pipeline.sources.encoded import Group, Problem, RowsPlanned, Unchanged
from pipeline.sources.headers import Measured
from pipeline.sources.labels import Labels
from pipeline.sources.names import (
    AUDIO,
    COMPRESSED_TARS,
    TARS,
    Place,
    extension,
    refusal,
    shown,
    tar_key,
    unread,
    without_extension,
)
from pipeline.sources.planned import HEAD
from pipeline.sources.sidecars import KINDS, Sidecars
from pipeline.sources.tarformat import DamagedTar, Member, goes_on, members, read_fully
from pipeline.storage.listing import Entry
from pipeline.storage.read import MEGABYTE, RangeFile


def scan(entry: Entry, place: Place, known: RowsPlanned) -> Iterator[Group | Problem | Unchanged]:
    """Plan an uncompressed tar: each audio member is a recording of its own group, read later by its offset.

    Reads headers, sidecars and the start of audio; skips what lies beyond the read-ahead. A tar that is known at
    this version is not opened.

    Raises:
        UserError: a key comes back after others, or a name comes twice.
        StorageFault, FileNotFoundError, PermissionError: the tar cannot be read.
    """
    if unchanged := _unchanged(entry, place, known):
        yield unchanged
        return
    with RangeFile(entry.uri, 0, entry.size) as raw, io.BufferedReader(raw, MEGABYTE) as file:
        for found in _Scan(entry, place, streamed=False).run(file):
            yield found if isinstance(found, Problem) else (found,)


def scan_compressed(entry: Entry, place: Place, known: RowsPlanned) -> Iterator[Group | Problem | Unchanged]:
    """Plan a compressed tar by reading it once; its members are one group, for one pass reads them all.

    A tar that is known at this version is not opened.

    Raises:
        UserError, StorageFault, FileNotFoundError, PermissionError: as `scan`.
    """
    if unchanged := _unchanged(entry, place, known):
        yield unchanged
        return
    recordings: list[Recording] = []
    with decompressed(entry.uri) as file:
        for found in _Scan(entry, place, streamed=True).run(file):
            if isinstance(found, Problem):
                yield found
            else:
                recordings.append(found)
    if recordings:
        yield tuple(recordings)


def normal_name(name: str) -> str:
    """Give a member's name without "./", at its start or, as of `tar cf x.tar folder/.`, within."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return "/".join(part for part in name.split("/") if part != ".") if "/./" in name else name


def _unchanged(entry: Entry, place: Place, known: RowsPlanned) -> Unchanged | None:
    name = place.members(entry.uri)
    rows = known(name, entry.version)
    return Unchanged(name, entry.uri, rows) if rows else None


@dataclass(slots=True)
class _Key:
    """What has come of one key so far."""

    name: str
    audio: dict[str, tuple[Member, Measured]] = field(default_factory=dict)
    """Name -> what was found."""
    unread: dict[str, str] = field(default_factory=dict)
    """Name of what sounds, or shows what sounds, and cannot be read -> why."""
    sidecars: Sidecars = field(init=False)

    def __post_init__(self) -> None:
        self.sidecars = Sidecars(self.name)


@dataclass(slots=True)
class _Scan:
    entry: Entry
    place: Place
    streamed: bool
    keys: dict[str, bool] = field(default_factory=dict)
    """Keys that are finished, and whether they had audio."""

    def run(self, file: BinaryIO) -> Iterator[Recording | Problem]:
        key = _Key("")
        try:
            for member in members(file):
                if (refusal := self._refusal(member)) is not None:
                    yield refusal
                    continue
                name = normal_name(member.name)
                if member.kind != "file" or _hidden(name):
                    continue
                if name.lower().endswith(TARS + COMPRESSED_TARS):
                    yield Problem(f"{self.entry.uri}::{name}", "a tar within a tar is not opened; unpack it")
                    continue
                if tar_key(name)[0] != key.name:
                    yield from self._finish(key)
                    key = self._open(name)
                self._take(file, member, name, key)
                self._check_cut(member)
        except DamagedTar as damage:
            yield from self._finish(key)
            yield Problem(self.entry.uri, f"the tar {damage}; what comes after is not planned")
            return
        yield from self._finish(key)
        with contextlib.suppress(DamagedTar):
            if goes_on(file):
                yield Problem(self.entry.uri, "another tar follows its end mark and is not planned; pack both as one")

    def _refusal(self, member: Member) -> Problem | None:
        name, uri = normal_name(member.name), f"{self.entry.uri}::{shown(member.name)}"
        if member.kind in ("link", "special"):
            return Problem(uri, "a link or special member is never followed")
        # Others than audio have no id, but a path of bytes would be none in any message.
        if (not is_text(name) or extension(name) in AUDIO) and (reason := refusal(name)):
            return Problem(uri, f"the member's name {reason}")
        if name.startswith("/") or ".." in name.split("/"):
            return Problem(uri, "a member's name must not be absolute or climb with '..'")
        return None

    def _open(self, name: str) -> _Key:
        key, _ = tar_key(name)
        if self.keys.get(key) or (key in self.keys and extension(name) in AUDIO):
            raise UserError(
                f"{self.entry.uri}: members of one key must stand together, but {key!r} comes back after others. "
                "Make the tar from sorted names: tar --sort=name"
            )
        return _Key(key)

    def _take(self, file: BinaryIO, member: Member, name: str, key: _Key) -> None:
        if extension(name) in AUDIO:
            if name in key.audio:
                raise UserError(f"{self.entry.uri}: {name!r} comes twice; names in a tar must differ")
            head = self._content(file, member, HEAD)
            key.audio[name] = member, self._measure(member, head, extension(name))
        elif reason := unread(name):
            key.unread[name] = reason
        elif extension(name) in KINDS:
            key.sidecars.take(name, member.size, lambda: self._content(file, member, member.size))

    def _content(self, file: BinaryIO, member: Member, most: int) -> bytes:
        want = min(most, member.size)
        if not self.streamed:
            want = max(min(want, self.entry.size - member.offset), 0)
        try:
            return read_fully(file, want)
        except DamagedTar:
            # The next header tells; the member that is cut is planned all the same.
            return b""

    def _check_cut(self, member: Member) -> None:
        if not self.streamed and member.offset + member.size > self.entry.size:
            raise DamagedTar(f"ends at byte {self.entry.size} inside {shown(member.name)!r}")

    def _finish(self, key: _Key) -> Iterator[Recording | Problem]:
        if key.name:
            self.keys[key.name] = bool(key.audio)
        if not key.audio:
            # Beside audio that can be read it is the same again, as a film beside its sound.
            for name, reason in key.unread.items():
                yield Problem(f"{self.entry.uri}::{name}", reason)
            return
        told, wrong = key.sidecars.of(key.audio)
        for name, message in wrong:
            yield Problem(f"{self.entry.uri}::{name}", message)
        for name, (member, measured) in key.audio.items():
            yield self._recording(name, member, measured, key.name, told[without_extension(name)])

    def _recording(self, name: str, member: Member, measured: Measured, key: str, told: Labels) -> Recording:
        whole = self.place.id(self.place.below(self.entry.uri), name)
        return Recording(
            id=whole,
            source=self.entry.uri,
            key=key,
            version=self.entry.version,
            recording=whole,
            format=extension(name),
            seconds=measured.seconds,
            seconds_from=measured.seconds_from,
            size=member.size,
            offset=0 if self.streamed else member.offset,
            member=name,
            streamed=self.streamed,
            sample_rate=measured.sample_rate,
            reference=told.reference,
            metadata=told.metadata,
        )

    def _measure(self, member: Member, head: bytes, format: str) -> Measured:
        if self.streamed:
            return measure(head, member.size, format)
        size = max(min(member.size, self.entry.size - member.offset), 0)
        return measure(head, size, format)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
