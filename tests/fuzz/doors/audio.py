"""Audio of each container: what planning reads of its header, and what decoding makes of it."""

from __future__ import annotations

import functools
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import numpy as np

from pipeline import audio
from pipeline.audio.constants import MAX_AMPLITUDE
from pipeline.errors import RecordingError
from pipeline.sources import durations
from pipeline.sources.planned import HEAD
from tests.fuzz import mutate
from tests.fuzz.door import Check, Door, Opened, Wrong
from tests.fuzz.doors import unclosed
from tests.fuzz.doors.pages import paged, summed
from tests.fuzz.doors.sounds import sounds, spoken

CONTAINERS = {
    "wav": ("wav", "wav float", "wav adpcm", "wav gsm", "wav g721", "wavex", "rf64", "w64"),
    "flac": ("flac", "flac 24"),
    "ogg": ("ogg", "opus"),
    "mp3": ("mp3", "mp2", "mp1"),
    "aiff": ("aiff", "aiff float", "aiff ima", "caf", "caf alac"),
    "other-audio": ("au", "nist", "voc", "paf", "svx", "ircam", "pvf", "avr", "sds", "wve"),
}
"""Door -> the kinds of sound that it begins with."""


def measured(data: bytes) -> bool:
    """What planning makes of a header: a length that is one, whatever the bytes."""
    known = False
    for format in ("wav", "", "mp3"):
        found = durations.measure(data[:HEAD], len(data), format)
        if not (math.isfinite(found.seconds) and found.seconds >= 0 and 0 <= found.sample_rate < 2**31):
            raise Wrong(f"{found}")
        known |= found.sample_rate > 0
    return known


def decoded(data: bytes) -> bool:
    """Samples, or an error of the recording."""
    try:
        found = audio.decode(data)
    except RecordingError as error:
        if "\n" in error.error.message or error.error.stage != "decode":
            raise Wrong(f"several lines: {error.error}") from error
        # What is no audio at all says so.
        return not error.error.message.startswith(("not an audio file", "the file has no bytes"))
    if not np.isfinite(found.samples).all() or (len(found.samples) and np.abs(found.samples).max() > MAX_AMPLITUDE):
        raise Wrong("samples that are no amplitudes")
    if not math.isfinite(found.duration) or any("\n" in each for each in found.warnings):
        raise Wrong(f"{found.duration} s, {found.warnings}")
    if abs(len(found.samples) / 16_000 - found.duration) > 0.01:
        raise Wrong(f"{len(found.samples)} samples of {found.duration} s")
    if zlib.crc32(data) % 16 == 0 and found.duration < 600:
        for each in audio.features_of_crops(data, [(0.0, None)]):
            if not isinstance(each, RecordingError) and not np.isfinite(each.features).all():
                raise Wrong("features that are no numbers")
    return True


def _both(data: bytes) -> bool:
    measured(data)
    return decoded(data)


def chunked(dice: Random, seeds: Sequence[bytes], *, first: int, order: str) -> bytes:
    """A container of chunks, some in another order, twice, of another length or with another content."""
    data = dice.choice(seeds)
    parts, start = [data[:first]], first
    while start + 8 <= len(data):
        length = struct.unpack_from(order + "I", data, start + 4)[0]
        stop = min(start + 8 + length + (length & 1), len(data))
        parts.append(data[start:stop])
        start = stop
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(len(parts))
        part = bytearray(parts[at])
        what = dice.randrange(6)
        if what == 0 and len(part) >= 8 and at:
            struct.pack_into(order + "I", part, 4, dice.choice(mutate.STRANGE) & 0xFFFFFFFF)
        elif what == 1:
            parts.insert(dice.randrange(len(parts) + 1), bytes(part))
        elif what == 2 and len(parts) > 2:
            parts.pop(at)
            continue
        elif what == 3:
            mutate.number(dice, part)
        elif what == 4:
            mutate.flip(dice, part)
        else:
            del part[dice.randrange(len(part) + 1) :]
        if at < len(parts):
            parts[at] = bytes(part)
    return b"".join(parts)


_BEHIND = {"ogg": 4_200, "aiff": 120}
"""Bytes that mostly are header."""


def _mutated(name: str) -> Callable[[Random, Sequence[bytes]], bytes]:
    def mutated(dice: Random, seeds: Sequence[bytes]) -> bytes:
        if name == "ogg" and dice.random() < 0.6:
            return paged(dice, seeds)
        if name in ("wav", "aiff") and dice.random() < 0.3:
            data = chunked(dice, seeds, first=12, order=">" if name == "aiff" else "<")
        elif dice.random() < (0.75 if name == "ogg" else 0.5):
            # What comes behind the header alone, else few inputs would come past it.
            whole = dice.choice(seeds)
            first = min(_BEHIND.get(name, 100), len(whole) // 2)
            data = whole[:first] + mutate.bent(dice, [whole[first:]])
        else:
            data = mutate.bent(dice, seeds)
        return summed(data) if name == "ogg" and dice.random() < 0.85 else data

    return mutated


_TAGS = b"TAG".ljust(128, b"\0") + b"APETAGEX" + struct.pack("<IIII8x", 2000, 64, 1, 0xA0000000) + bytes(64)
_TAGS += b"ID3\4\0\0\0\0\1\0" + bytes(128)
"""Of an MP3's end, and of the next one's start."""


def _open(name: str, check: Check, _: Path) -> Opened:
    made = sounds()
    seeds = [made[kind] for kind in CONTAINERS[name] if kind in made]
    if name == "wav":
        seeds += unclosed.waves()
    if name == "aiff":
        seeds.append(unclosed.TAG + made["aiff"])
    if name == "flac":
        seeds += [spoken()[:6000], *unclosed.flacs()]
    if name == "ogg":
        seeds.append(made["ogg"] + made["opus"])
    if name == "mp3":
        seeds.append(made["mp3"] + _TAGS + made["mp3"] * 5)
    return Opened(seeds, check, _mutated(name))


def _open_headers(_: Path) -> Opened:
    # The audio of a CAF begins behind 4 KB.
    heads = [data[: 6000 if kind == "caf" else 1500] for kind, data in sounds().items()]
    tagged = b"ID3\4\0\0\0\0\1\0" + bytes(128) + sounds()["mp3"]
    silence = bytes.fromhex("fff344c4") + bytes(100)
    page = sounds()["opus"][:28]
    speex = page + b"Speex   " + bytes(28) + (16_000).to_bytes(4, "little") + bytes(40)
    flac = page + b"\x7fFLAC" + bytes(22) + (16_000 << 4).to_bytes(3, "big") + bytes(20)
    cut = sounds()["wav"][:30]
    return Opened([*heads, tagged, silence * 3, *_tagged(), speex, flac, cut], measured)


def _tagged() -> list[bytes]:
    """MP3s whose first frame counts all: Xing and VBRI."""
    frame = bytes.fromhex("fffb9064")
    xing = (frame + bytes(32) + b"Xing" + struct.pack(">II", 1, 500)).ljust(417, b"\0")
    vbri = (frame + bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", 500)).ljust(417, b"\0")
    return [xing + frame.ljust(417, b"\0"), vbri + frame.ljust(417, b"\0")]


DOORS = (
    Door("audio-headers", _open_headers),
    *(Door(name, functools.partial(_open, name, _both), memory=512 << 20) for name in CONTAINERS),
)
