"""Log-mel features on the model's own device: samples in, what the encoder takes out, many recordings at once.

In float64, which a GPU has enough of for this, the numbers are those of `pipeline.audio.fbank`. In float32 they are
within 0.03 of them for 16-bit audio; where a band holds nothing but rounding noise, as in audio that was made at a
lower rate, they differ by up to about 1.

Letters: N samples, n frames of 10 ms, M mel bins, T = n // stride stacked frames, B frames of a block, C recordings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_BLOCK = 2**13
"""Frames at once, 80 s: 170 MB of intermediate values in float64, however long the audio."""


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
    """Features of recordings, on the device of its buffers.

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
        self.register_buffer("window", window)
        self.register_buffer("filters", filters)

    def forward(self, samples: Tensor, counts: Sequence[int]) -> Tensor:
        """Samples of recordings end to end, (N,), and how many are whose -> their features, (sum T, stride M) float32.

        Each bin is normalised over all frames of its recording (sample variance); an odd last frame counts in that,
        and is left out.
        """
        frames, nums = self.log_mel(samples, counts), self._nums(counts)
        owners = torch.arange(len(nums)).repeat_interleave(nums)
        self._normalise(frames, owners, nums)
        stride = self.shape.stride
        if (nums % stride).any():
            places = torch.arange(len(frames)) - (nums.cumsum(0) - nums)[owners]
            frames = frames[(places < (nums // stride * stride)[owners]).to(frames.device)]
        return frames.view(-1, stride * frames.shape[1])

    def log_mel(self, samples: Tensor, counts: Sequence[int]) -> Tensor:
        """Samples (N,), int16 or within +-1, on any device -> (sum n, M) float32, not normalised."""
        firsts = self._firsts(counts)
        out = torch.empty(len(firsts), self.filters.shape[1], device=self.filters.device)
        for block in _blocks(len(firsts)):
            begin, end = int(firsts[block][0]), int(firsts[block][-1]) + len(self.window)
            heard = samples[begin:end].to(self.window.device)
            out[block] = self._log_mel_of(heard, (firsts[block] - begin).to(self.window.device))
        return out

    def _nums(self, counts: Sequence[int]) -> Tensor:
        """Frames of each recording, (C,) int64 on the host."""
        counted = torch.tensor(counts, dtype=torch.int64)
        return (1 + (counted - len(self.window)).div(self.shape.shift, rounding_mode="floor")).clamp_min(0)

    def _firsts(self, counts: Sequence[int]) -> Tensor:
        """First sample of each frame, (sum n,) int64 on the host: no frame reaches from one recording into the next."""
        counted, nums = torch.tensor(counts, dtype=torch.int64), self._nums(counts)
        offsets = counted.cumsum(0) - counted - (nums.cumsum(0) - nums) * self.shape.shift
        return torch.arange(int(nums.sum())) * self.shape.shift + offsets.repeat_interleave(nums)

    def _log_mel_of(self, samples: Tensor, firsts: Tensor) -> Tensor:
        """Samples and the first of each of B frames -> (B, M)."""
        precise = self.window.dtype
        heard = samples.to(precise) / 2**15 if samples.dtype == torch.int16 else samples.to(precise)
        # (B, samples of a frame)
        frames = heard.unfold(0, len(self.window), 1)[firsts]
        frames = frames - frames.mean(dim=1, keepdim=True)
        # The first sample of a frame has no one before it, but its weight in the window is 0.
        frames = torch.cat([frames[:, :1], frames[:, 1:] - self.shape.preemphasis * frames[:, :-1]], dim=1)
        # (B, samples) -> (B, F) -> (B, M)
        spectrum = torch.fft.rfft(frames * self.window, n=2 * len(self.filters) - 2)
        power = spectrum.real.square() + spectrum.imag.square()
        mel: Tensor = power @ self.filters
        return mel.clamp_min_(self.shape.mel_floor).log_()

    def _normalise(self, frames: Tensor, owners: Tensor, nums: Tensor) -> None:
        """Give each bin zero mean and unit variance over the frames of a recording; overwrites (n, M).

        Owner of each frame and frames of each recording, (n,) and (C,), are on the host.
        """
        device, many = frames.device, nums.to(frames.device)[:, None]
        means = _sums(frames, owners, len(nums)) / many.clamp_min(1)
        for block in _blocks(len(frames)):
            frames[block] -= means[owners[block].to(device)]
        variances = _sums(frames, owners, len(nums), power=2) / (many - 1).clamp_min(1)
        scales = (variances + self.shape.variance_floor).rsqrt()
        for block in _blocks(len(frames)):
            frames[block] *= scales[owners[block].to(device)]


def _sums(frames: Tensor, owners: Tensor, count: int, *, power: int = 1) -> Tensor:
    """Sums over the frames of each recording, (n, M) -> (C, M) float64: a day of them is more than float32 can count.

    As products, for these add up in the same order each time, where scattered additions on a GPU do not.
    """
    sums = frames.new_zeros(count, frames.shape[1], dtype=torch.float64)
    for block in _blocks(len(frames)):
        # Recordings follow each other, so those of a block are neighbours: (C of the block, B)
        mine = owners[block]
        first, stop = int(mine[0]), int(mine[-1]) + 1
        shares = torch.arange(first, stop, device=frames.device)[:, None] == mine.to(frames.device)
        sums[first:stop] += shares.double() @ frames[block].double().pow(power)
    return sums


def _blocks(num: int) -> Iterator[slice]:
    for first in range(0, num, _BLOCK):
        yield slice(first, min(first + _BLOCK, num))
