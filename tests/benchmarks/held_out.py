"""Which discriminants of an x-vector's statistics tell speakers apart best whom they were not made of.

    python tests/benchmarks/held_out.py [--model DIR] [--folds 5]

LibriSpeech train-clean-100 (VOXMILL_SPEECH), one utterance of each speaker: discriminants are made of 3 s segments of
four fifths of the speakers, each at five speeds, half of them through a random channel, and compare those of the other
fifth, each through a channel of its own. Chooses how far covariances are shrunk and how long a vector is; test-other,
which `speakers.py` judges on, has no part in it. The statistics' own components are of all speakers.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import audio, demo, models  # noqa: E402
from pipeline.models.layout import Packed  # noqa: E402
from pipeline.models.wav2vec2_bert.heads import seen_by_head  # noqa: E402
from pipeline.models.wav2vec2_bert.xvector import XVectorModel  # noqa: E402
from pipeline.scoring import speakers, trials  # noqa: E402
from pipeline.training.augment import at_speed, through_channel  # noqa: E402
from pipeline.training.discriminant import discriminants  # noqa: E402
from tests import speech  # noqa: E402
from tests.benchmarks.speakers import CHANNEL_DB, RATE, SECONDS  # noqa: E402

Doubles = NDArray[np.float64]

MOST = 4
"""Segments of a recording at a speed."""
SPEEDS = (1.0, 0.85, 0.92, 1.08, 1.17)
SHRINKAGES, SIZES = (0.05, 0.1, 0.2, 0.3, 0.5), (96, 192)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=demo.checkpoint_folder("speaker-xvector"))
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    model = models.load(given.model)
    assert isinstance(model, XVectorModel)
    statistics, speaker, speed = pooled(model)
    for size, shrinkage in itertools.product(SIZES, SHRINKAGES):
        rates = [
            rate(statistics, speaker, speed, out=speaker % given.folds == fold, size=size, shrinkage=shrinkage)
            for fold in range(given.folds)
        ]
        print(f"size={size} shrinkage={shrinkage} eer={np.mean(rates):.2%}", flush=True)


def pooled(model: XVectorModel) -> tuple[Doubles, NDArray[np.int64], NDArray[np.int64]]:
    """Deviations that the embedding sees of each segment, its speaker, its speed's number or -1 to judge on."""
    found: list[torch.Tensor] = []
    model.embed.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].double()))
    owners = []
    with torch.inference_mode():
        for speaker, speed, samples in drawn():
            features = torch.from_numpy(audio.fbank(samples))
            model.score(*seen_by_head(model, features, Packed((len(features),), features.device)))
            owners.append((speaker, speed))
    statistics = torch.cat(found).numpy()
    return statistics[:, statistics.shape[1] // 2 :], *np.array(owners).T


def drawn() -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Speaker, speed and samples of each segment."""
    random = np.random.default_rng(0)
    with open(speech.FOLDER / "librispeech.csv", newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["split"] == "train"]
    for speaker, row in enumerate(rows):
        samples, _ = audio.load(speech.FOLDER / row["path"])
        for segment in cut(samples):
            yield speaker, -1, through_channel(segment, random, spread_db=CHANNEL_DB)
        for number, speed in enumerate(SPEEDS):
            for segment in cut(at_speed(samples, speed))[:MOST]:
                changed = random.random() < 0.5
                yield speaker, number, through_channel(segment, random, spread_db=CHANNEL_DB) if changed else segment


def cut(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Every whole 3 s."""
    size = RATE * SECONDS
    return [samples[start : start + size] for start in range(0, len(samples) - size + 1, size)]


def rate(
    statistics: Doubles, speaker: NDArray[np.int64], speed: NDArray[np.int64], *,
    out: NDArray[np.bool_], size: int, shrinkage: float,
) -> float:  # fmt: skip
    """Equal error rate of the speakers that are out, by discriminants of the others."""
    taught, judged = ~out & (speed >= 0), out & (speed < 0)
    classes = speaker[taught] * len(SPEEDS) + speed[taught]
    mean, projection = discriminants(statistics[taught], classes, size=size, shrinkage=shrinkage)
    vectors = ((statistics[judged] - mean) @ projection).astype(np.float32)
    first, second = trials.pairs(len(vectors))
    same = speaker[judged][first] == speaker[judged][second]
    return speakers.curve(trials.cosines(vectors, first, second), same).equal_error_rate


if __name__ == "__main__":
    main()
