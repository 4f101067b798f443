"""Make the demo corpus: digits spoken by synthetic voices, as tar shards in the WebDataset convention.

    python -m pipeline.demo.make_corpus FOLDER

Needs `espeak-ng` (the package of that name in Debian and Ubuntu; 1.51 made the shipped shards). The same
versions of espeak-ng and of the codecs give the same bytes. Every recording is what a telephone line leaves
of a voice: single digits with pauses between them, 8 kHz, a little noise, as in the checkpoint's training.
"""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.demo.ogg import steady

Samples = NDArray[np.float32]

SEED = 20
LINE_RATE = 8000
"""Hz: what a telephone line keeps."""
PAUSE = (0.12, 0.34)
"""Seconds between two digits, uniform."""
NOISE = 0.008
"""Standard deviation of the line's white noise; full scale is 1. With half of it the checkpoint errs too
seldom to show what errors look like: 1 % of the words, against 4.6 %."""
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Speaker:
    """A synthetic voice and the format of its recordings."""

    name: str
    voice: str
    """espeak-ng's name: language, `+`, variant."""
    speed: int
    """Words a minute."""
    pitch: int
    """0 to 99, espeak-ng's scale."""
    extension: str
    """Key of `FORMATS`."""
    lengths: tuple[int, ...]
    """Digits in each of the speaker's recordings."""


SPEAKERS = (
    Speaker("ann", "en-us+f3", 150, 50, "flac", (3, 4, 5, 3, 6, 4)),
    Speaker("bob", "en-us+m2", 140, 40, "ogg", (4, 5, 3, 6, 4, 30)),
    Speaker("cleo", "en-gb+f2", 150, 55, "ogg", (4, 3, 6, 5, 4, 7)),
    Speaker("dev", "en-029+m3", 145, 45, "mp3", (5, 4, 3, 4, 6, 44)),
    Speaker("eve", "en-us-nyc+Annie", 155, 50, "ogg", (3, 5, 4, 6, 4, 5, 4)),
    Speaker("finn", "en-gb-scotland+m3", 140, 50, "ogg", (4, 6, 3, 5, 4, 60)),
)

FORMATS: dict[str, tuple[str, str, int]] = {
    "flac": ("FLAC", "PCM_16", 8000),
    "mp3": ("MP3", "MPEG_LAYER_III", 16000),
    "ogg": ("OGG", "OPUS", 16000),
}
"""Extension -> libsndfile's format and subtype, and the sample rate in Hz."""

BROKEN = "broken-000"
"""Key of the file that is no audio, to show what becomes of it, and that its neighbours do not suffer."""

SPEAKERS_PER_SHARD = 2


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recording to make."""

    key: str
    speaker: Speaker
    digits: tuple[str, ...]
    seed: int
    """Of the pauses, the loudness and the noise."""

    @property
    def text(self) -> str:
        """What is said."""
        return " ".join(self.digits)


Speak = Callable[[str, Speaker], Samples]
"""A digit in a voice -> samples at `LINE_RATE`, without silence around them."""


def utterances() -> Iterator[Utterance]:
    """Everything that is said, in the order of the shards; the same at every call."""
    rng = random.Random(SEED)
    for speaker in SPEAKERS:
        for number, length in enumerate(speaker.lengths):
            digits = tuple(rng.choice(DIGITS) for _ in range(length))
            yield Utterance(f"{speaker.name}-{number:03}", speaker, digits, rng.randrange(2**31))


def speak(digit: str, speaker: Speaker) -> Samples:
    """One digit from espeak-ng, see `Speak`."""
    command = ["espeak-ng", "-v", speaker.voice, "-s", str(speaker.speed), "-p", str(speaker.pitch)]
    wav = subprocess.run([*command, "--stdout", digit], check=True, capture_output=True).stdout
    samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
    line: Samples = soxr.resample(samples, rate, LINE_RATE)
    loud = np.flatnonzero(np.abs(line) > 0.01)
    return line[loud[0] : loud[-1] + LINE_RATE // 40]


def render(utterance: Utterance, speak: Speak) -> Samples:
    """The digits of an utterance with pauses, uneven loudness and noise: (N,) at `LINE_RATE`, peak 0.5."""
    rng = np.random.default_rng(utterance.seed)
    parts = [_pause(rng)]
    for digit in utterance.digits:
        parts += [rng.uniform(0.8, 1.1) * speak(digit, utterance.speaker), _pause(rng)]
    said = np.concatenate(parts)
    said *= 0.5 / np.abs(said).max()
    return (said + NOISE * rng.standard_normal(len(said))).astype(np.float32)


def _pause(rng: np.random.Generator) -> Samples:
    return np.zeros(int(rng.uniform(*PAUSE) * LINE_RATE), np.float32)


def encode(samples: Samples, extension: str) -> bytes:
    """Samples at `LINE_RATE` as a file of a format of `FORMATS`."""
    container, subtype, rate = FORMATS[extension]
    out = io.BytesIO()
    soundfile.write(out, soxr.resample(samples, LINE_RATE, rate), rate, format=container, subtype=subtype)
    return steady(out.getvalue()) if container == "OGG" else out.getvalue()


def members(utterance: Utterance, audio: bytes) -> Iterator[tuple[str, bytes]]:
    """The files of one recording: audio, reference text, metadata."""
    speaker = utterance.speaker
    about = {"speaker": speaker.name, "voice": f"espeak-ng {speaker.voice}", "digits": len(utterance.digits)}
    yield f"{utterance.key}.{speaker.extension}", audio
    yield f"{utterance.key}.json", (json.dumps(about) + "\n").encode()
    yield f"{utterance.key}.txt", (utterance.text + "\n").encode()


def shards(speak: Speak) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the tar shards; the broken file is in the second, among sound ones."""
    for number in range(0, len(SPEAKERS), SPEAKERS_PER_SHARD):
        chosen = {speaker.name for speaker in SPEAKERS[number : number + SPEAKERS_PER_SHARD]}
        files = [
            file
            for utterance in utterances()
            if utterance.speaker.name in chosen
            for file in members(utterance, encode(render(utterance, speak), utterance.speaker.extension))
        ]
        if number == SPEAKERS_PER_SHARD:
            files.insert(3, (f"{BROKEN}.flac", bytes(4096)))
        yield f"digits-{number // SPEAKERS_PER_SHARD:06}.tar", _tar(files)


def _tar(files: Sequence[tuple[str, bytes]]) -> bytes:
    """An uncompressed tar without owners and times, which would differ at every making."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def main(folder: Path) -> None:
    """Write the shards into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in shards(lru_cache(maxsize=None)(speak)):
        (folder / name).write_bytes(content)
        print(f"{folder / name}: {len(content):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
