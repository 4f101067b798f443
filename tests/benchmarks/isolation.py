"""What decoding in a process of its own costs: the same files to features there and here, in turn, one thread each.

    python tests/benchmarks/isolation.py [--minutes 10] [--rounds 3]

Spoken digits (half a second each: many questions and answers), LibriSpeech in FLAC, and uncompressed samples (the most
bytes to hand over) of `VOXMILL_SPEECH`. CPU seconds count, those of both processes; the best of the rounds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil  # noqa: E402

from pipeline.corpus import Recording  # noqa: E402
from pipeline.featurising import AudioFile, Featurise, here  # noqa: E402
from pipeline.isolation import Isolated, Limits  # noqa: E402
from tests import speech  # noqa: E402
from tests.benchmarks.header import header  # noqa: E402
from tests.jobs.corpora import encoded  # noqa: E402

LIMITS = Limits(600.0, 8_000_000_000)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="audio of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="times each form runs; the best counts")
    options = parser.parse_args()
    print(header())
    digits = [path.read_bytes() for path in sorted((speech.FOLDER / "digits").rglob("*.flac"))]
    sentences = [path.read_bytes() for path in sorted((speech.FOLDER / "librispeech/test-other").rglob("*.flac"))]
    samples = [encoded(_samples(blob), "WAV") for blob in sentences]
    print(f"{'':24}{'audio':>9}{'files':>8}{'here':>9}{'apart':>9}{'ratio':>8}")
    for name, blobs in (("digits, FLAC", digits), ("LibriSpeech, FLAC", sentences), ("LibriSpeech, WAV", samples)):
        payload, files = unit_of(blobs, 60 * options.minutes)
        compare(name, payload, files, options.rounds)
    return 0


def _samples(blob: bytes):
    from pipeline.audio import load

    return load(blob)[0]


def unit_of(blobs: Sequence[bytes], seconds: float) -> tuple[bytes, list[AudioFile]]:
    """So much audio, the same files again and again; guessed from the first files' length."""
    length = _seconds(blobs[:50])
    files, parts, start = [], [], 0
    for number in range(max(1, round(seconds / length))):
        blob = blobs[number % len(blobs)]
        recording = Recording(
            id=f"c/{number}", source=f"file:///c/{number}", key=str(number), version="1", recording=f"c/{number}",
            format="flac", seconds=length, seconds_from="header", size=len(blob),
        )  # fmt: skip
        files.append(AudioFile(recording, ((0.0, None),), (start, len(blob)), 0, "float64"))
        parts.append(blob)
        start += len(blob)
    return b"".join(parts), files


def _seconds(blobs: Sequence[bytes]) -> float:
    return sum(len(_samples(blob)) for blob in blobs) / 16000 / len(blobs)


def compare(name: str, payload: bytes, files: list[AudioFile], rounds: int) -> None:
    with Isolated(LIMITS) as decoder:
        next(decoder(payload, files[:1]))
        (child,) = psutil.Process().children()
        least = {"here": float("inf"), "apart": float("inf")}
        for _ in range(rounds):
            least["here"] = min(least["here"], _spent(lambda: _run(here, payload, files), None))
            least["apart"] = min(least["apart"], _spent(lambda: _run(decoder, payload, files), child))
    seconds = sum(file.first.seconds for file in files)
    ratio = least["apart"] / least["here"]
    print(
        f"{name:24}{seconds:7.0f} s{len(files):8,}{least['here']:7.2f} s{least['apart']:7.2f} s{ratio:8.3f}"
        f"   ratio_{name.partition(',')[0].lower()}_{name[-4:].strip().lower()}={ratio:.3f}"
    )


def _run(form: Featurise, payload: bytes, files: list[AudioFile]) -> None:
    for results in form(payload, files):
        assert not hasattr(results[0], "message"), results[0]


def _spent(call: Callable[[], None], child: psutil.Process | None) -> float:
    """CPU seconds of this process and of the one that works for it."""

    def now() -> float:
        return time.process_time() + (sum(child.cpu_times()[:2]) if child else 0.0)

    before = now()
    call()
    return now() - before


if __name__ == "__main__":
    sys.exit(main())
