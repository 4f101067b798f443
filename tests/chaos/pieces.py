"""Small corpora whose every row is known: pieces of speech as files and in tars, and one file that is no audio."""

from __future__ import annotations

import functools
import gzip
import io
import random
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from pipeline import read_table
from tests.chaos.promise import Broken
from tests.chaos.quiet import labelled
from tests.jobs.corpora import RATE, clips, encoded

NO_AUDIO = "broken.wav"


class Said(NamedTuple):
    """What a row must tell of its piece."""

    text: str
    duration: float


@functools.cache
def pool() -> dict[str, bytes]:
    """Pieces by name, each another."""
    made = {}
    for number, clip in enumerate(clips()[:8]):
        samples = clip.resampled(RATE)
        for part in (0, 1):
            piece = samples[part * RATE // 2 :][: RATE + 1000 * number]
            made[f"p{number}{part}.flac"] = encoded(piece)
    return made


@functools.cache
def said() -> dict[str, Said]:
    """What is said in each piece, as a run finds it that nothing befalls."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for each, content in pool().items():
            (folder / "in" / each).write_bytes(content)
        code, told = labelled([str(folder / "in")], str(folder / "out"))
        if code:
            raise RuntimeError(told)
        rows = read_table(str(folder / "out")).to_table(columns=["id", "text", "duration"])
        return {row["id"].removeprefix("c/"): Said(row["text"], row["duration"]) for row in rows.to_pylist()}


def corpus(dice: random.Random) -> dict[str, bytes]:
    """Files of a corpus: a few pieces, some in tars, and one that is no audio."""
    names = dice.sample(sorted(pool()), 11)
    return {
        **{name: pool()[name] for name in names[:6]},
        "t.tar": _tar(names[6:9]),
        "z.tar.gz": gzip.compress(_tar(names[9:]), mtime=0),
        NO_AUDIO: b"RIFF but nothing else" * 20,
    }


def ids(files: dict[str, bytes]) -> set[str]:
    """Ids of all recordings in files."""
    found = set()
    for name, content in files.items():
        if ".tar" in name:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                found |= {f"c/{name}::{each}" for each in tar.getnames()}
        else:
            found.add(f"c/{name}")
    return found


def compare(output: str) -> None:
    """Hold every row of a table against what must be in it.

    Raises:
        Broken: a row tells something else of its piece, or has an error that is not its file's.
    """
    table: pa.Table = read_table(output).to_table(columns=["id", "text", "duration", "error"])
    for row in table.to_pylist():
        name = row["id"].removeprefix("c/").rpartition("::")[2]
        if (row["error"] is not None) != (name == NO_AUDIO):
            raise Broken(f"{output}: the row of {row['id']} has the error {row['error']}")
        if name != NO_AUDIO and Said(row["text"], row["duration"]) != said()[name]:
            raise Broken(f"{output}: {row['id']} is {row['text']!r}, {row['duration']} s, and should be {said()[name]}")


def _tar(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(pool()[name])
            tar.addfile(info, io.BytesIO(pool()[name]))
    return buffer.getvalue()
