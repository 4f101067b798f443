"""Strings of spoken digits with their text, joined from single human recordings."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

RATE = 8000


@dataclass(frozen=True)
class Utterance:
    """One string of digits of one speaker."""

    key: str
    speaker: str
    text: str
    samples: np.ndarray
    """(N,) float32 at 8 kHz."""
    starts: tuple[float, ...]
    """Where each digit's recording starts, in seconds."""
    ends: tuple[float, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE


def utterances(speech: Path, *, count: int, seed: int = 0, split: str = "test") -> list[Utterance]:
    """`count` strings of 3 to 8 digits, pauses of 80 to 250 ms between them, faint noise throughout."""
    with open(speech / "digits.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    takes: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        takes.setdefault(row["speaker"], []).append(row)
    clips = {row["path"]: soundfile.read(speech / row["path"], dtype="float32")[0] for row in rows}
    random = np.random.default_rng(seed)
    speakers = sorted(takes)
    made = []
    for number in range(count):
        speaker = speakers[number % len(speakers)]
        chosen = random.choice(len(takes[speaker]), size=random.integers(3, 9), replace=False)
        made.append(_join(f"{speaker}-{number:05d}", speaker, [takes[speaker][i] for i in chosen], clips, random))
    return made


def _join(key, speaker, chosen, clips, random) -> Utterance:
    parts, starts, ends = [np.zeros(int(0.15 * RATE), np.float32)], [], []
    for row in chosen:
        starts.append(sum(map(len, parts)) / RATE)
        parts.append(clips[row["path"]])
        ends.append(sum(map(len, parts)) / RATE)
        parts.append(np.zeros(int(random.uniform(0.08, 0.25) * RATE), np.float32))
    samples = np.concatenate(parts)
    samples = samples + random.normal(0, 1e-3, len(samples)).astype(np.float32)
    text = " ".join(row["text"] for row in chosen)
    return Utterance(key, speaker, text, np.clip(samples, -1, 1), tuple(starts), tuple(ends))


def encoded(samples: np.ndarray, rate: int = RATE, format: str = "FLAC") -> bytes:
    """Samples as an audio file of 16 bits."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=format, subtype="PCM_16")
    return buffer.getvalue()


def write_shards(folder: Path, spoken: Sequence[Utterance], *, per_shard: int = 50) -> list[Path]:
    """WebDataset shards with `KEY.flac` and `KEY.txt`."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for first in range(0, len(spoken), per_shard):
        shards.append(folder / f"digits-{first // per_shard:05d}.tar")
        with tarfile.open(shards[-1], "w") as tar:
            for each in spoken[first : first + per_shard]:
                for name, content in (
                    (f"{each.key}.flac", encoded(each.samples)),
                    (f"{each.key}.txt", each.text.encode()),
                ):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return shards
