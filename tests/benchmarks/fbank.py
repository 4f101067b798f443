"""Speed and accuracy of log-mel frames against transformers and against torch's FFT, one thread, in one run.

Human speech at 16 kHz from `VOXMILL_SPEECH`. Times are CPU seconds; the forms take turns and the best of their rounds
counts, so that a busy machine disturbs all alike. Differences are from transformers, which computes in float64.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import SeamlessM4TFeatureExtractor

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.audio.constants import (  # noqa: E402
    FFT_LENGTH,
    FRAME_LENGTH,
    FRAME_SHIFT,
    FULL_SCALE,
    MEL_FLOOR,
    PREEMPHASIS,
)
from pipeline.audio.fbank import log_mel, mel_filters  # noqa: E402
from tests import speech  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="times each form runs; the best counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted((speech.FOLDER / "librispeech").rglob("*.flac"))
    clips = [soundfile.read(file, dtype="float32")[0] for file in files]
    seconds = sum(map(len, clips)) / 16000
    forms: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "transformers, float64": SeamlessM4TFeatureExtractor()._extract_fbank_features,
        "torch, float32": with_torch,
        "voxmill, float32": log_mel,
        "voxmill, float64": partial(log_mel, dtype=np.float64),
    }
    best = dict.fromkeys(forms, float("inf"))
    frames: dict[str, list[np.ndarray]] = {}
    for _ in range(options.rounds):
        for name, form in forms.items():
            begun = time.process_time()
            frames[name] = [form(clip) for clip in clips]
            best[name] = min(best[name], time.process_time() - begun)
    reference = next(iter(forms))
    print(f"{len(clips)} recordings, {seconds:.0f} s of speech, best of {options.rounds}, 1 thread")
    for name, taken in best.items():
        apart = max(
            float(np.abs(ours - theirs).max()) for ours, theirs in zip(frames[name], frames[reference], strict=True)
        )
        speed = f"{seconds / taken:6.0f} x real time  {best[reference] / taken:5.2f} x"
        print(f"  {name:24} {speed}  largest difference {apart:.2g}")


def with_torch(samples: np.ndarray) -> np.ndarray:
    """The same steps in torch, all frames at once."""
    frames = torch.from_numpy(samples * np.float32(FULL_SCALE)).unfold(0, FRAME_LENGTH, FRAME_SHIFT)
    frames = frames - frames.mean(1, keepdim=True)
    frames = torch.cat([frames[:, :1], frames[:, 1:] - PREEMPHASIS * frames[:, :-1]], 1)
    window = torch.from_numpy(np.hanning(FRAME_LENGTH) ** 0.85).float()
    spectrum = torch.fft.rfft(frames * window, n=FFT_LENGTH)
    power = spectrum.real.square() + spectrum.imag.square()
    return (power @ torch.from_numpy(mel_filters()).float()).clamp(min=MEL_FLOOR).log().numpy()


if __name__ == "__main__":
    main()
