"""Log-mel features on the model's own device: 16-bit samples in, what the encoder takes out.

The arithmetic is float32: for 16-bit audio the numbers are those of `pipeline.audio.fbank` within 0.03; where a band
holds nothing but rounding noise, as in audio that was made at a lower rate, they differ by up to about 1.

Letters: N samples, n frames of 10 ms, M mel bins, T = n // stride stacked frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_BLOCK = 2**14
"""Frames at once, nearly three minutes: 170 MB of intermediate values, however long the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FbankShape:
    """Sizes of frames; all others follow from the window and the filters."""

    shift: int
    """Samples from one frame to the next."""
    preemphasis: float
    """Share of the sample before that is taken away."""
    mel_floor: float
    """Least power of a mel bin before the logarithm."""
    variance_floor: float
    """Added to the variance of each bin."""
    stride: int
    """Frames that are joined into one."""


class Fbank(nn.Module):
    """Features of one recording, on the device of its buffers.

    Args:
        window: (L,) weights of a frame's samples; the scale of the samples is in them.
        filters: (F, M) from the power of F frequencies to mel bins; the transform is of 2 F - 2 samples.
        shape: sizes and constants.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, window: Tensor, filters: Tensor, shape: FbankShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("window", window.float())
        self.register_buffer("filters", filters.float())

    def log_mel(self, samples: Tensor) -> Tensor:
        """Samples (N,), int16 or within +-1, -> (n, M) float32, not normalised."""
        length, shift = len(self.window), self.shape.shift
        num = max(0, 1 + (len(samples) - length) // shift)
        out = self.filters.new_empty(num, self.filters.shape[1])
        for first in range(0, num, _BLOCK):
            last = min(first + _BLOCK, num)
            out[first:last] = self._log_mel_of(samples[first * shift : (last - 1) * shift + length])
        return out

    def _log_mel_of(self, samples: Tensor) -> Tensor:
        heard = samples.to(self.window.device)
        heard = heard / 2**15 if heard.dtype == torch.int16 else heard.float()
        # (N,) -> (n, samples of a frame)
        frames = heard.unfold(0, len(self.window), self.shape.shift)
        frames = frames - frames.mean(dim=1, keepdim=True)
        # The first sample of a frame has no one before it, but its weight in the window is 0.
        frames = torch.cat([frames[:, :1], frames[:, 1:] - self.shape.preemphasis * frames[:, :-1]], dim=1)
        # (n, samples) -> (n, frequencies) -> (n, M)
        spectrum = torch.fft.rfft(frames * self.window, n=2 * len(self.filters) - 2)
        power = spectrum.real.square() + spectrum.imag.square()
        mel: Tensor = power @ self.filters
        return mel.clamp_min_(self.shape.mel_floor).log_()

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (N,) -> (T, stride M) float32, each bin normalised over all frames (sample variance)."""
        frames = self.log_mel(samples)
        if len(frames):
            # Sums in float64: a day of frames has more of them than float32 can count.
            frames = frames - frames.mean(dim=0, dtype=torch.float64).float()
            squares = frames.square().sum(dim=0, dtype=torch.float64)
            frames *= (squares / max(1, len(frames) - 1) + self.shape.variance_floor).rsqrt().float()
        stacked = len(frames) // self.shape.stride
        return frames[: stacked * self.shape.stride].reshape(stacked, self.shape.stride * frames.shape[1])
