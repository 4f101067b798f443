"""Blocks whose steps between matrix products are compiled into few kernels; what they compute stays.

Attention stands between two compiled halves, for it has a kernel of its own. The number of frames is a symbol to the
compiler, and all blocks of a model are alike to it: so there are two compilations, not one for each batch or block.

Letters: N packed frames, d channels, K frames of the depthwise kernel, H heads, D channels of a head, R distances.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.models.biases import DistanceBias
from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Attend
from pipeline.models.wav2vec2_bert.block import Block
from pipeline.models.wav2vec2_bert.model import Model

TYPES = (None, "relative_key", "rotary")
"""Position types that ask a layout for nothing but positions; sizes of `relative` change from batch to batch."""


@dataclass(frozen=True, slots=True)
class _Places:
    """What the compiled halves know of a layout."""

    positions: Tensor
    """(N,), number of each frame in its document."""


class CompiledBlock(nn.Module):
    """A Conformer block for inference, with the parameters of another."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.block = block

    def forward(self, frames: Tensor, layout: Packed, attend: Attend) -> Tensor:
        """(N, d) -> (N, d).

        Raises:
            ValueError: in training, for nothing is dropped between the halves.
        """
        if self.block.training:
            raise ValueError("compiled blocks are for inference: call eval(), or train the model before it is compiled")
        before, after = _halves()
        positions: Any = self.block.attention.positions
        frames, queries, keys, values, table = before(self.block, frames, layout.positions)
        bias = None if table is None else DistanceBias(table, positions.left, positions.right)
        out: Tensor = after(self.block, frames, attend(queries, keys, values, bias), layout.positions)
        return out


def compile_blocks(model: Model) -> Model:
    """Put compiled blocks in the place of a model's; they compile at the first batch, in seconds to a minute.

    A model whose position type is `relative` stays as it is. One so changed can neither be trained nor saved.
    """
    if model.config.position_embeddings_type in TYPES:
        blocks = [CompiledBlock(cast(Block, block)) for block in model.encoder.blocks]
        model.encoder.blocks = nn.ModuleList(blocks)
    return model


@cache
def _halves() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compiled when they are first called, for importing this must cost nothing."""
    return torch.compile(_before_attention, dynamic=True), torch.compile(_after_attention, dynamic=True)


def _before_attention(
    block: Block, frames: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """(N, d) -> the same with half a feed-forward; queries, keys, values (N, H, D); bias by distance (N, H, R)."""
    places: Any = _Places(positions)
    attention = block.attention
    frames = frames.add(block.feed_forward_1(frames), alpha=0.5)
    seen = attention.norm(frames)
    turned = attention.positions.turn(seen, places)
    queries, keys, values = (
        linear(each).unflatten(-1, (attention.num_heads, -1))
        for linear, each in ((attention.query, turned), (attention.key, turned), (attention.value, seen))
    )
    queries, bias = attention.positions(queries, places)
    return frames, queries, keys, values, None if bias is None else cast(DistanceBias, bias).table


def _after_attention(block: Block, frames: Tensor, mixed: Tensor, positions: Tensor) -> Tensor:
    """(N, d) and what attention mixed, (N, H, D) -> (N, d)."""
    frames = frames + block.attention.out(mixed.flatten(1))
    convolution = block.convolution
    # (N, d) -> (N, 2 d) -> (N, d)
    gated = F.glu(convolution.gated(convolution.norm(frames)))
    filtered = _depthwise(gated, convolution.depthwise.weight, positions)
    frames = frames + convolution.out(convolution.activation(convolution.depthwise_norm(filtered)))
    frames = frames.add(block.feed_forward_2(frames), alpha=0.5)
    out: Tensor = block.norm(frames)
    return out


def _depthwise(frames: Tensor, weight: Tensor, positions: Tensor) -> Tensor:
    """What `convolution.CausalDepthwise` computes, (N, d) -> (N, d), without rows between documents.

    A frame that would be of the document before counts as zero. Compiled it is one kernel, which sums in fp32.
    """
    kernel_size = weight.shape[1]
    precise = torch.promote_types(frames.dtype, torch.float32)
    padded = F.pad(frames, (0, 0, kernel_size - 1, 0)).to(precise)
    total = torch.zeros_like(frames, dtype=precise)
    for back in range(kernel_size):
        first = kernel_size - 1 - back
        seen = padded[first : first + len(frames)]
        total = total + torch.where((positions >= back)[:, None], seen * weight[:, first].to(precise), 0.0)
    return total.to(frames.dtype)
