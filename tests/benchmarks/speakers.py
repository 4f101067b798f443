"""How well x-vectors tell speakers apart in 3 s of unheard people, beside what needs no network.

    python tests/benchmarks/speakers.py [--model DIR] [--channels none random] [--json FILE]

LibriSpeech test-other (VOXMILL_SPEECH): every whole 3 s of every recording, all pairs of segments but those of one
recording. `random` sends each recording through a random channel of its own first, so that two recordings of a
speaker are never of one microphone. Compared on the same pairs:

- alone: the x-vector of each segment as a recording by itself, as in a call of 3 s.
- within: the x-vector of the same segment of the whole recording, as `embed_speakers` cuts it.
- mean_std: cosine of means and deviations of the log-mel energies, centred by the segments' own mean.
- lda: linear discriminants, from train-clean-100, of means and deviations of the model's features, which are
  normalised over the recording, which leaves hardly anything of them; dimensions and shrinkage are those that do best
  on the pairs compared.
- lda_correlations: the same of correlations between 30 cepstra, the best that was found without a network.

Equal error rates with 95 % intervals, speakers drawn anew (six speakers: they are wide).
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import audio, demo, models  # noqa: E402
from pipeline.audio.fbank import log_mel  # noqa: E402
from pipeline.audio.windows import Window  # noqa: E402
from pipeline.models.predict import Predictor  # noqa: E402
from pipeline.models.wants import Want  # noqa: E402
from pipeline.scoring import speakers, trials  # noqa: E402
from pipeline.training.augment import through_channel  # noqa: E402
from pipeline.training.discriminant import discriminants  # noqa: E402
from tests import speech  # noqa: E402

Array = NDArray[np.floating]

RATE, SECONDS = 16000, 3
FRAMES = 50 * SECONDS
BANDS, CEPSTRA = 80, 30
COSINES = np.cos(np.pi / BANDS * np.outer(np.arange(BANDS) + 0.5, np.arange(CEPSTRA)))
"""(80, 30): cepstra are log-mel energies times these."""
SHRINKAGES, SIZES = (0.02, 0.1, 0.2, 0.4, 0.7), (20, 40, 80, 160)
CHANNEL_DB = 8.0
"""Deviation of a channel's gains."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Every whole 3 s of some recordings; (N,) each."""

    speakers: NDArray[np.int64]
    recordings: NDArray[np.int64]
    samples: Sequence[Array]
    """Recordings' samples, a recording each."""

    def each(self, features: Callable[[Array], Array], frames: int) -> Iterator[Array]:
        """Features of every segment, cut from those of its recording."""
        for samples in self.samples:
            whole = features(samples)
            for number in range(len(samples) // (RATE * SECONDS)):
                yield whole[number * frames : (number + 1) * frames]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=demo.checkpoint_folder("speaker-xvector"))
    parser.add_argument("--channels", nargs="+", choices=("none", "random"), default=("none", "random"))
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    predictor = Predictor({"x": models.load(given.model)})
    found = {}
    for channel in given.channels:
        known, asked = (segments(split, channel=channel) for split in ("train", "test"))
        found[channel] = rates(predictor, known, asked)
        print(f"channel={channel} segments={len(asked.speakers)} speakers={len(set(asked.speakers.tolist()))}")
        for name, (rate, interval) in found[channel].items():
            print(f"  {name:16} eer={rate:6.2%}  ({interval.low:.1%} to {interval.high:.1%})")
        print(f"  ratio_of_lda={found[channel]['alone'][0] / found[channel]['lda'][0]:.3f}", flush=True)
    if given.json:
        plain = {c: {n: [r, i.low, i.high] for n, (r, i) in each.items()} for c, each in found.items()}
        given.json.write_text(json.dumps(plain, indent=1) + "\n")


def rates(
    predictor: Predictor, known: Segments, asked: Segments
) -> Mapping[str, tuple[float, speakers.ConfidenceInterval]]:
    """Equal error rate of every way, and its interval."""
    plain = np.array([_mean_std(each) for each in asked.each(log_mel, 2 * FRAMES)])
    return {
        "alone": scored(embedded(predictor, asked, alone=True), asked),
        "within": scored(embedded(predictor, asked, alone=False), asked),
        "mean_std": scored(plain - plain.mean(axis=0), asked),
        "lda": best_lda(_mean_std, audio.fbank, FRAMES, known, asked),
        "lda_correlations": best_lda(_correlations, audio.fbank, FRAMES, known, asked),
    }


def segments(split: str, *, channel: str) -> Segments:
    """Those of LibriSpeech's split."""
    with open(speech.FOLDER / "librispeech.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == split]
    names = sorted({row["speaker"] for row in rows})
    samples = []
    for number, row in enumerate(rows):
        heard, _ = audio.load(speech.FOLDER / row["path"])
        if channel == "random":
            heard = through_channel(heard, np.random.default_rng([7, number]), spread_db=CHANNEL_DB)
        samples.append(heard)
    counts = [len(each) // (RATE * SECONDS) for each in samples]
    who = np.array([names.index(row["speaker"]) for row in rows])
    return Segments(np.repeat(who, counts), np.repeat(np.arange(len(rows)), counts), samples)


def embedded(predictor: Predictor, asked: Segments, *, alone: bool) -> Array:
    """X-vectors (N, E) of all segments, each by itself or cut from its recording as `embed_speakers` does."""
    size = RATE * SECONDS
    found: list[Array] = []
    for samples in asked.samples:
        count = len(samples) // size
        if alone:
            for number in range(count):
                found += _vectors(predictor, audio.fbank(samples[number * size : (number + 1) * size]), 1)
        elif count:
            found += _vectors(predictor, audio.fbank(samples), count)
    return np.stack(found)


def _vectors(predictor: Predictor, features: Array, count: int) -> Sequence[Array]:
    """X-vectors of so many segments of one recording."""
    frames = len(features)
    cuts = [(number * FRAMES, min((number + 1) * FRAMES, frames)) for number in range(count)]
    want = Want("x", lambda output: (output.embeddings.float(),), pieces=lambda _, __: cuts)
    return list(predictor.run(features, [[Window(0, frames, 0, frames)]], {"x": want})["x"][0][0])


def scored(vectors: Array, asked: Segments) -> tuple[float, speakers.ConfidenceInterval]:
    """Equal error rate of cosines, and its interval over speakers."""
    first, second = trials.pairs(len(vectors))
    apart = asked.recordings[first] != asked.recordings[second]
    first, second = first[apart], second[apart]
    same = asked.speakers[first] == asked.speakers[second]
    cosines = trials.cosines(vectors.astype(np.float32), first, second)
    interval = speakers.bootstrap(cosines, same, asked.speakers[first], asked.speakers[second])
    assert interval is not None
    return speakers.curve(cosines, same).equal_error_rate, interval


def best_lda(
    statistics: Callable[[Array], Array], features: Callable[[Array], Array], frames: int,
    known: Segments, asked: Segments,
) -> tuple[float, speakers.ConfidenceInterval]:  # fmt: skip
    """The least equal error rate that linear discriminants reach, whatever their dimension and shrinkage."""
    taught, heard = (np.array([statistics(e) for e in each.each(features, frames)], float) for each in (known, asked))
    found = []
    for shrinkage, size in itertools.product(SHRINKAGES, SIZES):
        mean, projection = discriminants(taught, known.speakers, size=size, shrinkage=shrinkage)
        found.append(scored((heard - mean) @ projection, asked))
    return min(found, key=lambda each: each[0])


def _mean_std(segment: Array) -> Array:
    return np.concatenate([segment.mean(axis=0), segment.std(axis=0)])


def _correlations(segment: Array) -> Array:
    cepstra = segment.reshape(-1, BANDS) @ COSINES
    matrix = np.corrcoef(cepstra.T)[np.triu_indices(CEPSTRA, 1)]
    return np.concatenate([cepstra.mean(axis=0), cepstra.std(axis=0), np.arctanh(matrix.clip(-0.999, 0.999))])


if __name__ == "__main__":
    main()
