"""Speed and accuracy of log-mel frames against transformers, kaldi-native-fbank and torch's FFT; one thread, one run.

Human speech at 16 kHz from `VOXMILL_SPEECH`. Times are CPU seconds; the forms take turns and the best of their rounds
counts, so that a busy machine disturbs all alike. Differences are from transformers, which computes in float64.
kaldi-native-fbank is called as from any Python, whole recordings in and an array of frames out. Fails where a form is
further than 0.1 from transformers.
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

import kaldi_native_fbank
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
    HIGH_HZ,
    LOW_HZ,
    MEL_FLOOR,
    NUM_MELS,
    PREEMPHASIS,
    SAMPLE_RATE,
)
from pipeline.audio.fbank import log_mel, mel_filters  # noqa: E402
from tests import speech  # noqa: E402

KALDI = "kaldi-native-fbank"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="times each form runs; the best counts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = sorted((speech.FOLDER / "librispeech").rglob("*.flac"))
    clips = [soundfile.read(file, dtype="float32")[0] for file in files]
    seconds = sum(map(len, clips)) / 16000
    forms: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "transformers": SeamlessM4TFeatureExtractor()._extract_fbank_features,
        KALDI: partial(with_kaldi, kaldi_options()),
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
    far = []
    for name, taken in best.items():
        apart = max(
            float(np.abs(ours - theirs).max()) for ours, theirs in zip(frames[name], frames[reference], strict=True)
        )
        faster = f"{best[reference] / taken:5.2f} x {reference}  {best[KALDI] / taken:5.2f} x {KALDI}"
        print(f"  {name:24} {seconds / taken:6.0f} x real time  {faster}  largest difference {apart:.2g}")
        far += [name] * (not apart <= 0.1)
    if far:
        raise SystemExit(f"not the same features: {', '.join(far)}")


def kaldi_options() -> kaldi_native_fbank.FbankOptions:
    """Our settings in its words."""
    options = kaldi_native_fbank.FbankOptions()
    frames, mels = options.frame_opts, options.mel_opts
    frames.samp_freq, frames.preemph_coeff, frames.window_type = SAMPLE_RATE, PREEMPHASIS, "povey"
    frames.frame_length_ms, frames.frame_shift_ms = (1000 * n / SAMPLE_RATE for n in (FRAME_LENGTH, FRAME_SHIFT))
    frames.dither, frames.remove_dc_offset, frames.snip_edges = 0.0, True, True
    mels.num_bins, mels.low_freq, mels.high_freq = NUM_MELS, LOW_HZ, HIGH_HZ
    options.energy_floor, options.use_energy, options.eps = 0.0, False, MEL_FLOOR
    return options


def with_kaldi(options: kaldi_native_fbank.FbankOptions, samples: np.ndarray) -> np.ndarray:
    """In C++, one frame after the other."""
    computer = kaldi_native_fbank.OnlineFbank(options)
    computer.accept_waveform(SAMPLE_RATE, samples * np.float32(FULL_SCALE))
    computer.input_finished()
    # Frames are views into the computer, which is gone after this.
    return np.stack([computer.get_frame(number) for number in range(computer.num_frames_ready)])


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
