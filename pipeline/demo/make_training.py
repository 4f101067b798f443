"""Make what the demo's checkpoints are trained and judged on: manifests, and audio joined from human recordings.

    python -m pipeline.demo.make_training FOLDER --speech RECORDINGS [--without SPEAKER] [--strings 3000]

RECORDINGS holds the Free Spoken Digit Dataset (`digits.csv`: path, text, speaker, split) and LibriSpeech
(`librispeech.csv`: path, speaker, split). Written are `strings-*.jsonl` (digits joined to strings, for CTC),
`digits-*.jsonl` (single digits, for classes), `frames-*.jsonl` (both sets with intervals of speech) and
`speakers-*.jsonl` (both sets by speaker): to train on, `valid` to choose by (other takes), `test` and,
where a speaker is left out, `left-out`. Needs `espeak-ng` and `flite` for the synthetic voices.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from pipeline.arguments import Parser
from pipeline.demo import voices
from pipeline.demo.speech_labels import speech_of
from pipeline.errors import UserError
from pipeline.quantities import counted
from pipeline.summary import COMPLETE, USAGE

Samples = NDArray[np.float32]

RATE = 8000
"""Hz of the digits."""
VALID_TAKES = (5, 6)
"""Takes of each digit that are not trained on, to choose by."""
TEST_SNR = (5.0, 25.0)
"""Decibels of speech above white or pink noise in the tests of frames, uniform."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One spoken digit."""

    speaker: str
    text: str
    take: int
    samples: Samples
    """(N,) at `RATE`."""


def clips(speech: Path, split: str) -> list[Clip]:
    """Human digits of a split."""
    with open(speech / "digits.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    return [Clip(row["speaker"], row["text"], _take(row["path"]), _read(speech / row["path"])) for row in rows]


def _take(path: str) -> int:
    """Number of a take: `digits/7_theo_12.flac` is the 12th.

    Raises:
        UserError: the name has none.
    """
    number = Path(path).stem.rpartition("_")[2]
    if not number.isdecimal():
        raise UserError(f"digits.csv: {path}: the name of a digit must end in _ and the number of its take")
    return int(number)


def join(chosen: Sequence[Clip], random: np.random.Generator, *, hiss: bool = True) -> Samples:
    """Digits with pauses of 30 to 450 ms, silence around them, uneven loudness and, maybe, faint noise."""
    parts = [_silence(random, 0.05, 0.5)]
    for clip in chosen:
        loud = 0.3 / max(1e-3, float(np.abs(clip.samples).max()))
        parts += [loud * random.uniform(0.5, 1.2) * clip.samples, _silence(random, 0.03, 0.45)]
    said: NDArray[np.floating] = np.concatenate(parts)
    if hiss:
        said = said + 10 ** random.uniform(-4, -2.2) * random.standard_normal(len(said))
    joined: Samples = np.clip(said, -1, 1).astype(np.float32)
    return joined


def strings(
    given: Sequence[Clip], count: int, random: np.random.Generator, *, shortest: int = 1
) -> Iterator[list[Clip]]:
    """Strings of up to 8 digits, each of one voice, all voices equally often."""
    by_voice: dict[str, list[Clip]] = {}
    for clip in given:
        by_voice.setdefault(clip.speaker, []).append(clip)
    names = sorted(by_voice)
    for number in range(count):
        mine = by_voice[names[number % len(names)]]
        yield [mine[i] for i in random.integers(0, len(mine), random.integers(shortest, 9))]


def noisy(samples: Samples, random: np.random.Generator) -> Samples:
    """White or pink noise over all of it."""
    noise = random.standard_normal(len(samples))
    if random.random() < 0.5:
        spectrum = np.fft.rfft(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.arange(1, len(spectrum) + 1)), len(samples))
    loud = np.sqrt(np.square(samples).mean() / np.square(noise).mean()) * 10 ** (-random.uniform(*TEST_SNR) / 20)
    heard: Samples = np.clip(samples + loud * noise, -1, 1).astype(np.float32)
    return heard


def _silence(random: np.random.Generator, shortest: float, longest: float) -> Samples:
    return np.zeros(int(random.uniform(shortest, longest) * RATE), np.float32)


@cache
def _read(path: Path) -> Samples:
    samples: Samples = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    return samples


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is written."""

    folder: Path

    def audio(self, name: str, samples: Samples, rate: int) -> str:
        """Write a recording; its path."""
        path = self.folder / "audio" / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, rate, subtype="PCM_16")
        return str(path.resolve())

    def manifest(self, name: str, lines: Sequence[dict[str, object]]) -> None:
        """Write a manifest."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.folder / f"{name}.jsonl").write_text(text)
        print(f"{self.folder / name}.jsonl: {len(lines):,} recordings")


def write_strings(place: Place, name: str, given: Iterable[Sequence[Clip]], random: np.random.Generator) -> None:
    """Digits joined to strings, with their text and their first speaker."""
    lines: list[dict[str, object]] = []
    for number, chosen in enumerate(given):
        path = place.audio(f"{name}-{number:05d}", join(chosen, random), RATE)
        lines.append({"audio_filepath": path, "text": " ".join(c.text for c in chosen), "speaker": chosen[0].speaker})
    place.manifest(name, lines)


def write_frames(place: Place, name: str, clean: Sequence[tuple[Samples, int]], seed: int, *, noise: bool) -> None:
    """Recordings with the intervals of speech that they have without noise."""
    random = np.random.default_rng(seed)
    lines: list[dict[str, object]] = []
    for number, (samples, rate) in enumerate(clean):
        heard = noisy(samples, random) if noise else samples
        path = place.audio(f"{name}-{number:05d}", heard, rate)
        lines.append({"audio_filepath": path, "frames": speech_of(samples, rate)})
    place.manifest(name, lines)


def sentences(speech: Path, split: str) -> Iterator[tuple[Path, str]]:
    """LibriSpeech of a split: path and speaker."""
    with open(speech / "librispeech.csv", newline="") as table:
        for row in csv.DictReader(table):
            if row["split"] == split:
                yield (speech / row["path"]).resolve(), row["speaker"]


def padded_sentences(speech: Path, split: str, random: np.random.Generator) -> Iterator[tuple[Samples, int]]:
    """LibriSpeech of a split at 16 kHz, with silence of up to 2 s around and inside."""
    for path, _ in sentences(speech, split):
        samples, rate = soundfile.read(path, dtype="float32")
        samples = soxr.resample(samples, rate, 16000)
        middle = int(random.uniform(0.3, 0.7) * len(samples))
        gaps = [np.zeros(int(random.uniform(0, 2) * 16000), np.float32) for _ in range(3)]
        parts = (gaps[0], samples[:middle], gaps[1], samples[middle:], gaps[2])
        yield np.concatenate(parts).astype(np.float32), 16000


def check(speech: Path) -> None:
    """Look for all that is needed before anything is written.

    Raises:
        UserError: names what is missing, and how to mend it.
    """
    _check_list(speech, "digits.csv", ("path", "text", "speaker", "split"))
    _check_list(speech, "librispeech.csv", ("path", "speaker", "split"))
    takes = {clip.take for clip in clips(speech, "train")}
    if not takes - set(VALID_TAKES) or not takes & set(VALID_TAKES):
        raise UserError(
            f"{speech / 'digits.csv'}: of split train there must be takes {VALID_TAKES[0]} and {VALID_TAKES[1]}, to "
            "choose by, and others, to train on"
        )
    voices.require_programs()


def _check_list(speech: Path, name: str, columns: Sequence[str]) -> None:
    place = speech / name
    if not place.is_file():
        raise UserError(
            f"{speech}: there is no {name} here; name with --speech the folder of the recordings, in which {name} "
            f"lists them ({', '.join(columns)})"
        )
    with open(place, newline="") as table:
        rows = list(csv.DictReader(table))
    lacking = [column for column in columns if rows and column not in rows[0]]
    if lacking:
        raise UserError(f"{place}: there is no column {lacking[0]!r}; it needs {', '.join(columns)}")
    for split in ("train", "test"):
        if not any(row["split"] == split for row in rows):
            raise UserError(f"{place}: no recording is of split {split!r}")
    gone = [row["path"] for row in rows if not (speech / row["path"]).is_file()]
    if gone:
        raise UserError(f"{place}: {counted(len(gone), 'recording')} that it lists are not there, such as {gone[0]}")


def _known(human: Sequence[Clip], without: str | None) -> list[Clip]:
    """Clips of all speakers but one.

    Raises:
        UserError: nobody is left out, or nobody is left.
    """
    names = sorted({clip.speaker for clip in human})
    if without is not None and without not in names:
        raise UserError(f"--without {without}: there is no such speaker, only {', '.join(names)}")
    known = [clip for clip in human if clip.speaker != without]
    if not known:
        raise UserError(f"--without {without}: there is no other speaker to train on")
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """Write all of it; the exit code."""
    parser = Parser(
        prog="python -m pipeline.demo.make_training", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument("--speech", type=Path, required=True, help="folder with digits.csv and librispeech.csv")
    parser.add_argument("--without", metavar="SPEAKER", help="speaker of digits to leave out of the training")
    parser.add_argument(
        "--strings", type=int, default=3000, metavar="N", help="strings of digits, 3 or more (default: 3000)"
    )
    given = parser.parse_args(argv)
    try:
        if given.strings < 3:
            raise UserError(
                f"--strings {given.strings}: a third as many are made of voices of each kind; ask for 3 or more"
            )
        check(given.speech)
        _write(Place(given.folder), given.speech, given.without, given.strings)
    except UserError as error:
        print(error, file=sys.stderr)
        return USAGE
    return COMPLETE


def _clips(said: Iterable[voices.Said]) -> list[Clip]:
    return [Clip(voice, digit, 0, samples) for voice, digit, samples in said]


def _write(place: Place, speech: Path, without: str | None, num_strings: int) -> None:
    """All manifests and all audio."""
    human, tests = clips(speech, "train"), clips(speech, "test")
    known = _known(human, without)
    taught = [clip for clip in known if clip.take not in VALID_TAKES]
    valid = [clip for clip in known if clip.take in VALID_TAKES]
    random = np.random.default_rng(0)
    for name, count, chosen, seed in (
        ("human", num_strings, taught, 1),
        ("voices", num_strings // 3, _clips(voices.by_rule()), 2),
        ("recorded", num_strings // 3, _clips(voices.recorded()), 12),
        ("valid", 200, valid, 7),
        ("test", 400, tests, 3),
    ):
        drawn = np.random.default_rng(seed)
        write_strings(place, f"strings-{name}", strings(chosen, count, drawn), drawn)
    for name, chosen in (("train", taught), ("valid", valid), ("test", tests)):
        write_digits(place, f"digits-{name}", chosen, random)
    if without:
        left = [clip for clip in (*human, *tests) if clip.speaker == without]
        drawn = np.random.default_rng(4)
        write_strings(place, "strings-left-out", strings(left, 200, drawn), drawn)
        write_digits(place, "digits-left-out", left, random)
    for name, count, chosen, seed in (("train", 300, taught, 5), ("test", 100, tests, 6)):
        joined = [(join(said, random, hiss=False), RATE) for said in strings(chosen, count, random)]
        clean = [*joined, *padded_sentences(speech, name, random)]
        write_frames(place, f"frames-{name}", clean, seed, noise=name == "test")
    drawn = np.random.default_rng(8)
    write_strings(place, "speakers-digits", strings(taught, 100, drawn, shortest=6), drawn)
    for name in ("train", "test"):
        said = sentences(speech, name)
        place.manifest(f"speakers-{name}", [{"audio_filepath": str(path), "speaker": who} for path, who in said])


def write_digits(place: Place, name: str, given: Sequence[Clip], random: np.random.Generator) -> None:
    """Single digits with a little silence around them."""
    lines: list[dict[str, object]] = [
        {"audio_filepath": place.audio(f"{name}-{number:05d}", join([clip], random), RATE), "label": clip.text,
         "speaker": clip.speaker}
        for number, clip in enumerate(given)
    ]  # fmt: skip
    place.manifest(name, lines)


if __name__ == "__main__":
    sys.exit(main())
