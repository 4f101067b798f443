"""An x-vector from scratch starts by pooling covariances: how bands of the spectrum move together tells voices apart.

The deviation of a sum of two channels tells their covariance. So the encoder starts as principal components of the
features, which its blocks hand on as they are, and the last time-delay layer as all their sums and differences; its
ReLUs are held open. With one utterance of each speaker, training from random weights did not get as far as this.

Letters: N frames, C features of a frame, d channels of the encoder, K components that are paired.
Source: Bimbot, Magrin-Chagnolleau and Mathan 1995 for second-order statistics as what tells speakers; Goyal et al.
2017, section 5.1, for residual branches that start at zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.models.wav2vec2_bert.block import Block
from pipeline.models.wav2vec2_bert.xvector import TimeDelay, XVectorModel

Doubles = NDArray[np.float64]

FRAMES = 40_000
"""Of 20 ms that the components are taken from: 13 minutes."""
OPEN = 4.0
"""Deviations that a channel is lifted by, so that a ReLU cuts next to nothing of it."""
REST = 0.3
"""Deviation of the components that are not paired, where those that are have 1."""
LEVEL = 4.0
"""Deviation of the channels of a frame that a block's norm sees: it is that of one constant channel, beside which the
others change it little."""


@torch.no_grad()
def start(model: XVectorModel, heard: Iterable[NDArray[np.float32]]) -> None:
    """Set encoder and time-delay layers; what does not fit, as a model with an adapter, stays random.

    Args:
        model: with random weights.
        heard: features (N, C) of examples, of which as many are taken as are needed.
    """
    layers = [layer for layer in model.tdnn if isinstance(layer, TimeDelay)]
    size = model.config.hidden_size
    paired = min(
        math.isqrt(layers[-1].linear.out_features), size - 1, model.config.tdnn_dim[0], *model.config.tdnn_dim[:-1]
    )
    frames = _normed(model, heard)
    if model.config.add_adapter or paired < 2 or len(frames) <= frames.shape[1]:
        return
    _project(model.encoder.projection.linear, frames, paired)
    for block in model.encoder.blocks:
        _hand_on(block)
    _pass(model.project, paired)
    lifted = 0.0
    for layer in layers[:-1]:
        _pass(layer.linear, paired, taps=layer.windows.size)
        layer.linear.bias[:paired] += OPEN - lifted
        lifted = OPEN
    _pair(layers[-1].linear, paired, taps=layers[-1].windows.size, lifted=lifted)


def _project(linear: nn.Linear, frames: Doubles, paired: int) -> None:
    """Principal components on all channels but the last, which is constant."""
    size = linear.out_features
    mean, components = principal_components(frames, size=size - 1)
    components[:, paired:] *= REST
    linear.weight[:-1] = torch.from_numpy(components.T)
    linear.bias[:-1] = torch.from_numpy(-mean @ components)
    linear.weight[-1] = 0.0
    linear.bias[-1] = LEVEL * math.sqrt(size)


def principal_components(frames: Doubles, *, size: int) -> tuple[Doubles, Doubles]:
    """Mean (C,) and projection (C, size) on the directions of largest variance, each of deviation 1; 0 beyond C."""
    mean = frames.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((frames - mean).T))
    found = np.zeros((frames.shape[1], size))
    kept = min(size, frames.shape[1])
    deviations = np.sqrt(np.maximum(variances[::-1][:kept], 1e-6 * variances[-1]))
    found[:, :kept] = directions[:, ::-1][:, :kept] / deviations
    return mean, found


def _normed(model: XVectorModel, heard: Iterable[NDArray[np.float32]]) -> Doubles:
    """Features (N, C) as the encoder's projection sees them."""
    projection, found, count = model.encoder.projection, [np.empty((0, model.encoder.projection.linear.in_features))], 0
    for features in heard:
        found.append(projection.norm(torch.from_numpy(features).to(model.encoder.device)).double().cpu().numpy())
        count += len(features)
        if count >= FRAMES:
            break
    return np.concatenate(found)


def _hand_on(block: nn.Module) -> None:
    """Let a block give what it gets, while all that it could add can still be learned."""
    assert isinstance(block, Block)
    for outward in (
        block.feed_forward_1.narrow,
        block.attention.out,
        block.convolution.out,
        block.feed_forward_2.narrow,
    ):
        nn.init.zeros_(outward.weight)
        if outward.bias is not None:
            nn.init.zeros_(outward.bias)
    nn.init.constant_(block.norm.weight, LEVEL)
    nn.init.zeros_(block.norm.bias)


def _pass(linear: nn.Linear, channels: int, *, taps: int = 1) -> None:
    """Hand on the first channels of the frame in the middle; the other outputs hear no others than before."""
    middle = taps // 2 * (linear.in_features // taps)
    linear.weight[:channels] = 0.0
    linear.weight[:channels, middle : middle + channels] = torch.eye(channels, device=linear.weight.device)
    linear.bias[:channels] = 0.0


def _pair(linear: nn.Linear, channels: int, *, taps: int, lifted: float) -> None:
    """Give each of the first channels, and the sum and difference of every two, all with deviation 1 and lifted."""
    middle = taps // 2 * (linear.in_features // taps)
    weight: Tensor = torch.zeros(channels * channels, linear.in_features)
    weight[range(channels), range(middle, middle + channels)] = 1.0
    for number, (one, other) in enumerate(itertools.combinations(range(channels), 2)):
        for row, sign in ((channels + 2 * number, 1.0), (channels + 2 * number + 1, -1.0)):
            weight[row, middle + one], weight[row, middle + other] = math.sqrt(0.5), sign * math.sqrt(0.5)
    linear.weight[: len(weight)] = weight
    linear.bias[: len(weight)] = OPEN - lifted * weight.sum(dim=1)
