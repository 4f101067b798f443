"""Tars: members with any header, as they are and compressed, planned and then read."""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import math
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from unittest import mock

import pyarrow as pa

from pipeline.corpus import Recording, Unit
from pipeline.errors import RecordingError, UserError
from pipeline.plan.columns import to_table
from pipeline.plan.payload import payloads
from pipeline.plan.spans import cut
from pipeline.sources import reading, tar
from pipeline.sources.encoded import Problem, Unchanged, nothing_known
from pipeline.sources.names import Place
from pipeline.storage.listing import stat
from tests.fuzz import mutate
from tests.fuzz.door import Door, Opened, Wrong, refused
from tests.fuzz.doors.sounds import sounds

BLOCK = 512
SPANS = 1000
"""More rows than any file of these sizes may become."""
NAMES = (
    "../up.wav", "/etc/passwd.wav", "a/../../b.flac", "./././a.wav", "//a.wav", "a.wav", "b.txt", "b.json",
    ".hidden.wav",
    "x" * 100 + ".wav", "n\nl.wav", "t\tb.wav", "C:\\a.wav", "a/", "", ".", "..", "é.wav", "a::b.wav", "a@0-1.wav",
)  # fmt: skip
RECORDS = (
    b"path=../../up.wav", b"path=/abs.wav", b"path=", b"path=a.wav", b"path=\xff.wav", b"size=0", b"size=-1",
    b"size=99",
    b"size=99999999999999999999999999", b"size=" + b"9" * 5000, b"size=\xd9\xa3", b"size=1e3", b"GNU.sparse.major=1",
    b"linkpath=/etc/passwd", b"comment=" + b"c" * 600, b"hdrcharset=BINARY", b"mtime=nan", b"path=p\0q.wav", b"=", b"",
)  # fmt: skip


def _seeds() -> list[bytes]:
    made = sounds()
    small = [made["wav"], made["flac"], made["mp3"], made["opus"]]
    label = b'{"text": "one", "speaker": "a"}'
    contents = [
        [("a.wav", small[0]), ("a.txt", b"one"), ("b.flac", small[1]), ("b.json", label)],
        [
            ("d/a.mp3", small[2]),
            ("d/a.json", label),
            ("d" * 50 + "/" + "long" * 20 + ".opus", small[3]),
            ("e.txt", b""),
        ],
        [(f"{number:03d}.wav", small[0][:300]) for number in range(5)],
        [("s.a.json", label), ("s.a.wav", small[0]), ("s.b.wav.txt", b""), ("s.txt", b"one"), ("s.b.wav", small[0])],
    ]
    formats = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    found = [_tar(members, format) for members in contents for format in formats]
    real = Path(__file__).resolve().parents[3] / "pipeline/demo/digits-000000.tar"
    return [*found, real.read_bytes()[: 40 * BLOCK]]


def _tar(members: Sequence[tuple[str, bytes]], format: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format, encoding="utf-8") as made:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    # Without what fills it up to 10 KB: the end mark is two blocks.
    return file.getvalue().rstrip(b"\0") + bytes(2 * BLOCK)


def headers(data: bytes | bytearray) -> list[int]:
    """Where headers seem to be: blocks that say ustar, or GNU's way of it."""
    return [start for start in range(0, len(data) - BLOCK + 1, BLOCK) if data[start + 257 : start + 262] == b"ustar"]


def mutated(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A tar with headers that say something else, most with a right checksum."""
    if dice.random() < 0.15:
        return mutate.bent(dice, seeds)
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 1, 2, 3))):
        found = headers(data)
        if not found:
            break
        start = dice.choice(found)
        dice.choice(_CHANGES)(dice, data, start, seeds)
    if dice.random() < 0.05:
        mutate.flip(dice, data)
    return bytes(data)


def _size(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    value = dice.choice((0, 1, 511, 512, 513, 10**6, 2**33, 2**63, 2**64, 2**90, dice.randrange(5000)))
    octal = f"{value:011o}\0".encode() if value < 8**11 else b""
    coded = (value | 1 << 95).to_bytes(12, "big")
    odd = dice.choice((b"-1         \0", b"            ", b"\xff" * 12, b"0x10      \0\0", b"77777777777\0", b"9" * 12))
    data[start + 124 : start + 136] = dice.choice((octal or coded, octal or coded, coded, odd))
    _sum(dice, data, start)


def _name(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    at, width = dice.choice(((0, 100), (0, 100), (345, 155)))
    name = dice.choice(NAMES).encode()[:width] if dice.random() < 0.8 else dice.randbytes(dice.randrange(width))
    data[start + at : start + at + width] = name.ljust(width, b"\0")
    _sum(dice, data, start)


def _kind(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    kinds = b"0\x001234567LKxXgSDVN" + bytes([dice.randrange(256)])
    data[start + 156] = dice.choice(kinds)
    _sum(dice, data, start)


def _field(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    for _ in range(dice.choice((1, 2, 4))):
        data[start + dice.randrange(BLOCK)] = dice.randrange(256)
    _sum(dice, data, start)


def _extended(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    records = b"".join(_record(dice, dice.choice(RECORDS)) for _ in range(dice.choice((1, 1, 3))))
    kind = dice.choice(b"xxxgXLK")
    if kind in b"LK":
        records = dice.choice(NAMES).encode() + dice.choice((b"\0", b""))
    header = bytearray(data[start : start + BLOCK])
    header[124:136] = f"{len(records):011o}\0".encode()
    header[156] = kind
    _sum(dice, header, 0)
    data[start:start] = bytes(header) + records.ljust(-(-len(records) // BLOCK) * BLOCK, b"\0")


def _record(dice: Random, text: bytes) -> bytes:
    length = len(text) + 3
    while len(f"{length} ".encode() + text + b"\n") != length:
        length = len(f"{length} ".encode() + text + b"\n")
    if dice.random() < 0.1:
        length = dice.choice((0, 1, 2, 10**6, -1, length + 1, length - 1))
    return f"{length} ".encode() + text + b"\n"


def _move(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    """Bring members of one tar, or of two, into another order; some come twice."""
    other = dice.choice(seeds) if dice.random() < 0.5 else bytes(data)
    at = dice.choice(headers(other))
    ends = [each for each in headers(other) if each > at] or [len(other)]
    data[start:start] = other[at : ends[0]]


def _drop(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    del data[start : start + BLOCK * dice.choice((1, 1, 2))]


def _cut(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    del data[min(len(data), start + dice.choice((0, 1, 200, 511, 512, 600, 1024, 2000))) :]


def _content(dice: Random, data: bytearray, start: int, seeds: Sequence[bytes]) -> None:
    at = start + BLOCK
    piece = bytearray(data[at : at + 200])
    mutate.flip(dice, piece)
    data[at : at + len(piece)] = piece


def _sum(dice: Random, data: bytearray, start: int) -> None:
    if dice.random() < 0.97:
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = f"{sum(data[start : start + BLOCK]):06o}\0 ".encode()


_CHANGES = (_size, _size, _name, _kind, _field, _extended, _extended, _move, _drop, _cut, _content)


def found_in(path: Path, scan: object, *, name: str, apart: bool = True) -> list[Recording]:
    """What a scan of a file plans, checked; a UserError where it is refused, as it must be."""
    entry = stat(str(path))
    place = Place.of(f"file://{path.parent}", None)
    found: list[Recording] = []
    try:
        for item in scan(entry, place, nothing_known):  # type: ignore[operator]
            if isinstance(item, Problem):
                if "\n" in item.message or name not in item.uri:
                    raise Wrong(f"a problem of several lines or without its file: {item}")
            elif not isinstance(item, Unchanged):
                found += item
    except UserError as error:
        refused(error, name)
        raise
    checked(found, apart=apart)
    return found


def checked(found: Sequence[Recording], *, apart: bool) -> list[Recording]:
    """What is planned must fit into a plan, and, where so much is promised, each id come once; its rows."""
    if apart and len({each.id for each in found}) < len(found):
        raise Wrong("two recordings have one id")
    for each in found:
        if not (math.isfinite(each.seconds) and each.seconds >= 0):
            raise Wrong(f"{each.seconds} seconds")
        if each.member is not None and (each.member.startswith("/") or ".." in each.member.split("/")):
            raise Wrong(f"a name that leaves the tar: {each.member!r}")
    rows = [row for each in found for row in cut(each)]
    if len(rows) > len(found) * SPANS:
        raise Wrong(f"{len(rows)} rows of {len(found)} recordings")
    for each in rows:
        if not (0 <= each.size < 2**63 and 0 <= each.offset < 2**63 and 0 <= each.sample_rate < 2**31):
            raise Wrong(f"numbers that no plan holds: {each.size}, {each.offset}, {each.sample_rate}")
    if rows and (len(rows) + found[0].size) % 8 == 0:
        to_table(rows, payloads(rows), [None] * len(rows))
    return rows


def heard(recordings: Sequence[Recording], most: int) -> None:
    """The bytes of what is planned: no more than there are, for each or an error."""
    encoded = reading.read(Unit("0" * 32, tuple(recordings)))
    if len(encoded.payload) > most:
        raise Wrong(f"{len(encoded.payload)} bytes were read of {most}")
    for number, place in enumerate(encoded.slices):
        if (place is None) != (number in encoded.errors) and not reading.by_seeking(recordings[number]):
            raise Wrong(f"recording {number} has neither bytes nor an error, or both")
        if place and not 0 <= place[0] <= place[0] + place[1] <= len(encoded.payload):
            raise Wrong("a slice lies outside of the payload")


def open_tar(folder: Path) -> Opened:
    path = folder / "x.tar"

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found = found_in(path, tar.scan, name="x.tar")
        except UserError:
            return True
        if found and data[-1] % 8 == len(data) // BLOCK % 8:
            heard(found, len(data))
        return bool(found)

    return Opened(_seeds(), check, mutated)


def _packed(dice: Random, data: bytes, kind: str) -> bytes:
    if kind == "gz":
        packed = gzip.compress(data, 1, mtime=0)
        return packed if dice.random() < 0.9 else packed + gzip.compress(data[:700], 1, mtime=0)
    if kind == "bz2":
        return bz2.compress(data, 1)
    if kind == "xz":
        return lzma.compress(
            data, lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}]
        )
    return pa.compress(data, codec="zstd", asbytes=True)


@functools.cache
def _good(seed: bytes, kind: str) -> bytes:
    return _packed(Random(0), seed, kind)


ENDS = {b"\x1f\x8b": "gz", b"BZ": "bz2", b"\xfd7": "xz", b"\x28\xb5": "zst"}


def _compressed(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A strange tar well compressed, or a good one with damage in what is compressed."""
    kind = dice.choice(("gz", "gz", "gz", "zst", "zst", "zst", "zst", "bz2", "xz"))
    if dice.random() < 0.6:
        return _packed(dice, mutated(dice, seeds), kind)
    packed = bytearray(_good(dice.choice(seeds), kind))
    if dice.random() < 0.5:
        start = dice.randrange(20, len(packed)) if len(packed) > 20 else 0
        packed[start] ^= 1 << dice.randrange(8)
        return bytes(packed)
    return mutate.bent(dice, [bytes(packed)])


def open_compressed(folder: Path) -> Opened:
    def check(data: bytes) -> bool:
        path = folder / f"x.tar.{ENDS.get(data[:2], 'gz')}"
        path.write_bytes(data)
        try:
            found = found_in(path, tar.scan_compressed, name="x.tar.")
        except UserError:
            return True
        if found and zlib.crc32(data) % 4 == 0:
            # Gigabytes of a member would say the same.
            with mock.patch.object(reading, "MOST_MEMBER", 4_000):
                heard(found, 64 << 20)
            with contextlib.suppress(RecordingError), reading.open_audio(found[0]) as audio:
                audio.read()
        return bool(found)

    return Opened(_seeds(), check, _compressed)


DOORS = (Door("tar", open_tar), Door("compressed-tar", open_compressed))
