"""JSONL manifests, sidecars, and the names of files and patterns."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random
from unittest import mock

import pyarrow as pa

from pipeline import sources
from pipeline.errors import UserError
from pipeline.sources import folder as folders
from pipeline.sources import jsonl, labels, patterns
from pipeline.sources.encoded import Problem
from pipeline.sources.names import Place
from pipeline.storage.listing import stat
from pipeline.table.columns import extra_columns, parse_columns
from tests.fuzz import mutate
from tests.fuzz.documents import VALUES, changed, documented
from tests.fuzz.door import Door, Opened, Wrong, refused
from tests.fuzz.doors.archives import NAMES, checked, found_in
from tests.fuzz.doors.sounds import sounds

_LINES = (
    {"audio_filepath": "a.wav", "text": "one two", "duration": 0.1, "speaker": "s1"},
    {"path": "a.wav", "id": "first", "offset": 0.02, "duration": 0.05, "text": "one"},
    {"path": "d/b.flac", "label": ["a", "b"], "frames": [{"start": 0.0, "end": 0.5, "label": "speech"}]},
    {"audio_filepath": "gone.wav", "duration": 20_000.0, "id": "long"},
)
_TIMES = (20_000, 1e12, 1e300, 86_400 * 365, 14_401.5, "../a.wav", "file:///a.wav", "~/a.wav", "~nobody/a.wav",
          "bucket://a.wav", "a\\b.wav", ".", "d", "file://rel.wav", "memory://a.wav")  # fmt: skip


def open_manifest(folder: Path) -> Opened:
    path = folder / "m.jsonl"
    (folder / "d").mkdir()
    (folder / "a.wav").write_bytes(sounds()["wav"])
    (folder / "d/b.flac").write_bytes(sounds()["flac"])
    seeds = [("\n".join(json.dumps(line) for line in _LINES[first:]) + "\n").encode() for first in range(4)]

    def check(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found_in(path, jsonl.scan, name="m.jsonl", apart=False)
        except UserError as error:
            return "not JSON" not in str(error) and "one JSON object a line" not in str(error)
        return True

    return Opened(seeds, check, _manifest)


def _manifest(dice: Random, seeds: Sequence[bytes]) -> bytes:
    if dice.random() < 0.05:
        return mutate.bent(dice, seeds)
    lines = dice.choice(seeds).splitlines()
    line = _change(dice, [dice.choice(lines)]) if dice.random() < 0.45 else _whole(dice, dice.choice(lines))
    if dice.random() < 0.2:
        line = line.replace(b"\n", b" ")
    lines.insert(dice.randrange(len(lines) + 1), line)
    end = dice.choice((b"\n", b"\n", b"\r\n", b"\n\n", b"\r", b" \n"))
    return (b"\xef\xbb\xbf" if dice.random() < 0.1 else b"") + end.join(lines) + dice.choice((b"", end))


def _whole(dice: Random, line: bytes) -> bytes:
    """A line that is JSON still."""
    document = json.loads(line)
    for _ in range(dice.choice((1, 2, 3))):
        document = changed(dice, document, (*VALUES, *_TIMES))
    return json.dumps(document).encode("utf-8", "surrogatepass")


_change = documented(_TIMES)


def open_sidecars(_: Path) -> Opened:
    """`.json` and `.txt` beside audio, and the columns that are made of them."""
    columns = parse_columns("speaker:string,year:int32,big:int64,gain:double,good:bool")
    fields = {"text": "one", "speaker": "s", "year": 2020, "big": 2**40, "gain": 0.5, "good": True, "x": {"y": [1]}}
    seeds = [
        json.dumps(fields).encode(),
        json.dumps({**fields, "text": None, "year": "1999"}).encode(),
        json.dumps({"year": 2020.0, "big": 0.5, "gain": "1.5", "good": "True", "speaker": {"name": "s"}}).encode(),
        json.dumps({"year": True, "big": 10**30, "gain": False, "good": "no", "speaker": "s" * 90}).encode(),
        json.dumps({"gain": 10**400, "year": [1] * 90, "good": 1}).encode(),
        json.dumps({"year": "\ud83d", "gain": "\udc00", "good": ["\ud800"]}).encode(),
        b"[1, 2]",
        b"3",
    ]

    def check(data: bytes) -> bool:
        # What a plan or a table says is any text.
        arrays, warnings = extra_columns(columns, [data.decode("utf-8", "replace"), None])
        if any(len(each) != 2 for each in arrays.values()) or any("\n" in each for told in warnings for each in told):
            raise Wrong(f"{arrays}, {warnings}")
        pa.array(warnings, pa.list_(pa.string()))
        try:
            told = labels.from_sidecars(data[:40] if data[:1] == b"," else None, data)
        except ValueError as error:
            if "\n" in str(error):
                raise Wrong(str(error)) from error
            return False
        for each in (told.reference, told.metadata):
            (each or "").encode()
        return told.metadata is not None

    return Opened(seeds, check, documented((2**31, -(2**31) - 1, "1", "true", "1e5", 1.5, "é")))


def open_names(folder: Path) -> Opened:
    """What a user writes for a source, and what names on a disk may be."""
    for name in ("a.wav", "b.wav", "0.wav", "01.wav", "[x].wav", "{a}.wav", "d/a.flac", "d/e/c.mp3", "é.wav"):
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "in" / name).write_bytes(sounds()["wav"][:200])
    (folder / "in/b.json").write_bytes(b"[")
    seeds = [b"*.wav", b"{a,b}.wav", b"{0..1}.wav", b"**/*.flac", b"[ab].wav", b"d/{e,}/c.mp3", b"{00..01}.wav",
             b"a.wav",
             b"{a,{b,0}}.wav", b"[!a]*.wav", b"", b"d", b"in/../a.wav", b"a.wav#x?y=%20", b"{a..c}.wav", b"~",
             b"*"]  # fmt: skip
    os.chdir(folder / "in")

    def check(data: bytes) -> bool:
        whole = f"{folder}/in/{data.decode('utf-8', 'surrogateescape')}"
        if not os.path.abspath(whole).startswith(f"{folder}/in"):
            # The whole disk is no input.
            return False
        try:
            # A million names of one pattern are refused as a thousand are, and take seconds.
            with mock.patch.multiple(patterns, MOST_NAMES=1000, MOST_PATTERNS=100):
                found = [item for item in sources.entries([whole]) if not isinstance(item, Problem)]
        except UserError as error:
            if "\n" in str(error) and "\n" not in whole:
                refused(error, "")
            return "*" in whole or "{" in whole or "[" in whole
        checked([each for group in found for each in group], apart=False)
        return True

    return Opened(seeds, check, _names)


def _names(dice: Random, seeds: Sequence[bytes]) -> bytes:
    pieces = (b"{", b"}", b"..", b",", b"*", b"**", b"?", b"[", b"]", b"!", b"/", b"{0..3}", b"{0..99999999999}",
              b"{9..0}",
              b"{a,b}" * 12, b"{-1..1}", b"{" * 50, b"\0", b"\n", b"\xff", b"[z-a]", b"[[:alpha:]]", b"//", b"./",
              b"../",
              b"{0..9}" * 9, b"(", b"\\", b"file://", b"memory://", b"nope://", b"a" * 300,
              b"/".join([b"a"] * 2000))  # fmt: skip
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.choice((1, 2, 3))):
        at = dice.randrange(len(data) + 1)
        data[at : at + dice.choice((0, 0, 1, 3))] = dice.choice(pieces)
    return bytes(data)


def open_folder(folder: Path) -> Opened:
    """Names of files in a folder, one a line of the input, audio and sidecars alike."""
    place = Place.of("file:///c", None)
    head = sounds()["wav"][:300]
    seeds = [
        b"a.wav\na.txt\na.json\nb.flac",
        b"x/a.wav\nx/a.b.wav\nx/a.b.txt\nx/a.wav.json",
        b"a.m4a\na.wav\na\na.tar\na.wav.gz",
        b"known.wav\na.wav\nx/known.flac",
    ]
    path = folder / "a.wav"
    path.write_bytes(head)
    real = stat(str(path))

    def check(data: bytes) -> bool:
        names = {line.decode("utf-8", "surrogateescape") for line in data.split(b"\n") if line and b"\0" not in line}
        entries = [folders.Entry(f"file:///c/{name}", real.size, real.version) for name in sorted(names)]
        found: list[object] = []
        for files in folders.with_sidecars(entries, apart=lambda entry: entry.uri.endswith(".tar")):
            if isinstance(files, folders.Files):
                found += folders.plan([files], place, lambda name, version: int("known" in name))
        rows = [each for item in found if isinstance(item, tuple) for each in item]
        checked(rows, apart=False)
        audio = [name for name in names if folders.extension("/" + name) in folders.AUDIO]
        if len(rows) + sum(not isinstance(item, tuple) for item in found) < len(audio):
            raise Wrong(f"{audio} lost some")
        return bool(audio)

    return Opened(seeds, check, _files)


def _files(dice: Random, seeds: Sequence[bytes]) -> bytes:
    lines = dice.choice(seeds).split(b"\n")
    for _ in range(dice.choice((1, 2, 4))):
        line = bytearray(dice.choice((dice.choice(lines), dice.choice(NAMES).encode())))
        dice.choice((mutate.flip, mutate.repeat, mutate.drop, lambda dice, line: line.extend(b".wav")))(dice, line)
        lines.insert(dice.randrange(len(lines) + 1), bytes(line))
    return b"\n".join(lines)


DOORS = (
    Door("manifest", open_manifest),
    Door("sidecars", open_sidecars),
    Door("names", open_names),
    Door("folder", open_folder),
)
