"""Which window and context to cut long recordings with: word error rate against piecewise and against no windows.

    python tests/benchmarks/windows.py [--minutes 2 10 30] [--hours 3] [--unwindowed 10]

Strings of human digits (VOXMILL_SPEECH) are joined to recordings of some minutes and hours; each is transcribed in
windows of several lengths, and every string alone as the yardstick. Where each digit lies is known, so every one is
looked up: `lost` ones have no word, `doubled` ones several; `at seams` is the share of wrong digits among those within
0.5 s of a seam, `elsewhere` among the others; `off` counts words that reach more than 0.1 s beyond their digit; the
speed is that of model and decoding in CPU seconds of one thread.
The fine grid is for the minutes; hours are cut in three ways.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import audio, flow, models  # noqa: E402
from pipeline.config import RunConfig  # noqa: E402
from pipeline.corpus import FRAMES_PER_SECOND, Recording  # noqa: E402
from pipeline.demo import checkpoint_folder  # noqa: E402
from pipeline.flow import Doing  # noqa: E402
from pipeline.models.predict import Predictor  # noqa: E402
from pipeline.scoring import word_errors  # noqa: E402
from pipeline.sources import Encoded  # noqa: E402
from pipeline.tasks.transcribe import NAME, Transcribe  # noqa: E402
from pipeline.text import Tokenizer  # noqa: E402
from tests import speech  # noqa: E402
from tests.benchmarks.header import header  # noqa: E402
from tests.digits import RATE, encoded, utterances  # noqa: E402
from tests.joined import Joined, join  # noqa: E402

DEFAULT = (RunConfig().window, RunConfig().context)
GRID = (
    (4, 1), (6, 0), (6, 0.5), (6, 1), (8, 1), (10, 0), (10, 0.5), (10, 1),
    (10, 2), (12, 1), (14, 1), (14, 2), (20, 2), (30, 2), (30, 3),
)  # fmt: skip
COARSE = (DEFAULT, (6, 1), (30, 3))
NEAR = 0.5
FAR = 0.1
NAMES = ("recording", "window", "context", "WER %", "piecewise", "lost", "doubled", "at seams %", "elsewhere %", "off",
         "waste %", "x real time")  # fmt: skip


class Ear:
    """The demo's model on one thread."""

    def __init__(self) -> None:
        self._predictor = Predictor({NAME: models.load(checkpoint_folder())})
        self._task = Transcribe(Tokenizer.load(checkpoint_folder()))

    def words(self, features: flow.UnitFeatures, settings: flow.Settings) -> tuple[list[list[dict]], float]:
        """Words of each recording, and the share of frames computed for nothing."""
        outputs = flow.infer(features, [self._predictor], {NAME: Doing(self._task)}, settings)
        return flow.rows(outputs, NAME, self._task).columns["words"].to_pylist(), outputs.fed.context_share


def features_of(recordings: Sequence[np.ndarray]) -> flow.UnitFeatures:
    """Through a FLAC file each, as everything that is read."""
    blobs = [encoded(samples) for samples in recordings]
    starts = itertools.accumulate(map(len, blobs), initial=0)
    named = tuple(
        Recording(
            id=f"r{number}", source="memory", key=f"r{number}", version="1", recording=f"r{number}", format="flac",
            seconds=len(samples) / RATE, seconds_from="header", size=0,
        )
        for number, samples in enumerate(recordings)
    )  # fmt: skip
    slices = tuple((start, len(blob)) for start, blob in zip(starts, blobs, strict=False))
    return flow.featurise(Encoded(named, b"".join(blobs), slices, {}), flow.Settings(window=1, context=0))


def measure(
    ear: Ear, joined: Joined, features: flow.UnitFeatures, *, piecewise: float, window: float, context: float
) -> str:
    """One line of the table."""
    settings = flow.Settings.of(window=window, context=context, half=False)
    begin = time.process_time()
    (words,), waste = ear.words(features, settings)
    spent = time.process_time() - begin
    error = word_errors([joined.text], [" ".join(word["word"] for word in words)]).rate or 0.0
    windows = audio.cut(features.lengths[0], window=settings.window, context=settings.context)
    seams = [each.keep_start / FRAMES_PER_SECOND for each in windows[1:]]
    found = joined.look_up(words)
    near = joined.near(seams, seconds=NEAR)
    wrong = [
        [word["word"] for word in heard] != [said] for (said, _, _), heard in zip(joined.digits, found, strict=True)
    ]
    off = sum(
        max(start - word["start"], word["end"] - end) > FAR
        for (_, start, end), heard in zip(joined.digits, found, strict=True)
        for word in heard
    )
    whole = window >= joined.seconds
    return row(
        f"{joined.seconds / 3600:.0f} h" if joined.seconds >= 7200 else f"{round(joined.seconds / 60, 1):g} min",
        "whole" if whole else f"{window:g} s",
        "" if whole else f"{context:g} s",
        f"{100 * error:.2f}",
        f"{100 * piecewise:.2f}",
        sum(not heard for heard in found),
        sum(len(heard) > 1 for heard in found),
        share(wrong, near),
        share(wrong, [not each for each in near]),
        off,
        f"{100 * waste:.1f}",
        f"{joined.seconds / spent:.0f}",
    )


def row(*cells: object) -> str:
    """Cells below their names."""
    return "  ".join(f"{cell!s:>{len(name)}}" for name, cell in zip(NAMES, cells, strict=True))


def share(values: Sequence[bool], chosen: Sequence[bool]) -> str:
    picked = [value for value, take in zip(values, chosen, strict=True) if take]
    return f"{100 * sum(picked) / len(picked):.2f}" if picked else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="*", default=[2, 10, 30], help="recordings for the fine grid")
    parser.add_argument("--hours", type=float, default=0, help="one more recording, cut in three ways")
    parser.add_argument(
        "--unwindowed", type=float, default=2, help="most minutes to be seen whole, at 100 s for 10 minutes"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    lengths = sorted([*options.minutes, *([options.hours * 60] if options.hours else [])])
    spoken = utterances(speech.FOLDER, count=int(max(lengths) * 60 / 3) + 1)
    ear = Ear()
    pieces = ear.words(
        features_of([each.samples for each in spoken]), flow.Settings.of(window=60, context=0, half=False)
    )[0]
    alone = [" ".join(word["word"] for word in words) for words in pieces]
    print(f"{header()}\n\n{row(*NAMES)}")
    for minutes in lengths:
        joined = join(spoken, seconds=60 * minutes)
        count = len(joined.strings)
        piecewise = word_errors([each.text for each in joined.strings], alone[:count]).rate or 0.0
        features = features_of([joined.samples])
        grid = GRID if minutes in options.minutes else COARSE
        whole = ((joined.seconds + 1, 0),) if minutes <= options.unwindowed else ()
        for window, context in (*grid, *whole):
            line = measure(ear, joined, features, piecewise=piecewise, window=window, context=context)
            print(line, flush=True)


if __name__ == "__main__":
    main()
