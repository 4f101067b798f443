"""Which window and context to cut long recordings with: word error rate against piecewise and against no windows.

    python tests/benchmarks/windows.py [--hours 0.5]

Strings of human digits (VOXMILL_SPEECH) are joined to recordings of 2 and 10 minutes and of some hours; each is
transcribed in windows of several lengths, and every string alone as the yardstick.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline import flow, models  # noqa: E402
from pipeline.corpus import Recording  # noqa: E402
from pipeline.demo import checkpoint_folder  # noqa: E402
from pipeline.models.predict import Predictor  # noqa: E402
from pipeline.scoring import word_errors  # noqa: E402
from pipeline.sources import Encoded  # noqa: E402
from pipeline.tasks import transcribe  # noqa: E402
from pipeline.text import Tokenizer  # noqa: E402
from tests.digits import RATE, encoded, utterances  # noqa: E402

GRID = ((6, 1), (10, 1), (10, 2), (14, 2), (18, 2), (20, 3), (30, 3))


def recording(number: int, seconds: float) -> Recording:
    return Recording(
        id=f"r{number}", source="memory", key=f"r{number}", version="1", recording=f"r{number}", format="flac",
        seconds=seconds, seconds_from="header", size=0,
    )  # fmt: skip


def transcripts(audio, predictor, tokenizer, *, window, context):
    blobs = [encoded(samples) for samples in audio]
    slices, start = [], 0
    for blob in blobs:
        slices.append((start, len(blob)))
        start += len(blob)
    recordings = tuple(recording(i, len(samples) / RATE) for i, samples in enumerate(audio))
    settings = flow.Settings.of(window=window, context=context, half=False)
    features = flow.featurise(Encoded(recordings, b"".join(blobs), tuple(slices), {}), settings)
    outputs = flow.infer(features, predictor, transcribe, settings)
    return flow.rows(outputs, transcribe, tokenizer)[0]["text"].to_pylist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=0.5, help="length of the longest recording")
    hours = parser.parse_args().hours
    torch.set_num_threads(1)
    speech = Path(os.environ.get("VOXMILL_SPEECH", Path(__file__).resolve().parents[2] / "../shared/speech"))
    predictor = Predictor(models.load(checkpoint_folder()))
    tokenizer = Tokenizer.load(checkpoint_folder())
    spoken = utterances(speech, count=int(hours * 3600 / 3.2))
    alone = transcripts([each.samples for each in spoken], predictor, tokenizer, window=60, context=0)
    print("recording   window  context  WER %   piecewise WER %")
    for minutes in (2, 10, hours * 60):
        some, total = [], 0.0
        for each in spoken:
            if total < minutes * 60:
                some.append(each)
                total += each.seconds
        reference = " ".join(each.text for each in some)
        whole = np.concatenate([each.samples for each in some])
        piecewise = word_errors([each.text for each in some], alone[: len(some)]).rate
        grid = (*GRID, (int(total) + 10, 0)) if minutes <= 10 else GRID
        for window, context in grid:
            text = transcripts([whole], predictor, tokenizer, window=window, context=context)
            rate = word_errors([reference], text).rate
            name = f"{window:4d} s" if window < total else "whole "
            print(
                f"{minutes:6.0f} min  {name}  {context:4d} s  {100 * rate:6.2f}  {100 * piecewise:6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
