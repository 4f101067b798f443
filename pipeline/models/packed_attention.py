"""Softmax attention inside each document of a packed batch: a plain and a fused form behind one signature.

Letters: N packed frames, H heads, D channels of a head, R distances of a bias, C documents of L frames in a
run, W distances that a block of rows and the keys of their document have between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from pipeline.models.biases import Bias, DistanceBias, UnclippedBias
from pipeline.models.layout import Packed, Run

Kernel = Literal["plain", "fused"]

_SCORES = 2**20
"""Scores that the plain form computes at once, so that their bias (4 MB in fp32) stays in the cache."""
_ROWS = 64
"""Fewest queries of one document at once; with fewer the matrix products slow down."""
_BLOCK = 128
"""Rows and columns of a block in the fused form's mask: FlexAttention's own default."""


class Attend(Protocol):
    """The attention of one batch."""

    def __call__(
        self, queries: Tensor, keys: Tensor, values: Tensor, bias: Bias | None, *, dropout: float = 0.0
    ) -> Tensor:
        """Mix values, all (N, H, D); scores are scaled by 1 / sqrt(D), and so large a share of weights is dropped."""
        ...


def prepare(kernel: Kernel, layout: Packed) -> Attend:
    """Make the attention of one batch, once for all layers."""
    return _KERNELS[kernel](layout)


class _Plain:
    """SDPA over a run of equal documents or a block of queries, with the bias of that block gathered."""

    def __init__(self, layout: Packed) -> None:
        self._layout = layout
        self._strips: dict[tuple[int, int], Tensor] = {}

    def __call__(
        self, queries: Tensor, keys: Tensor, values: Tensor, bias: Bias | None, *, dropout: float = 0.0
    ) -> Tensor:
        num_heads = queries.shape[1]
        mixed = torch.empty_like(values)
        for run in _pieces(self._layout, num_heads):
            # (N, H, D) -> (C, H, L, D)
            q, k, v, out = (_documents(tensor, run) for tensor in (queries, keys, values, mixed))
            for first, last in _row_blocks(run, num_heads):
                scores = None if bias is None else self._scores(bias, run, first, last)
                out[:, :, first:last] = F.scaled_dot_product_attention(
                    q[:, :, first:last], k, v, attn_mask=scores, dropout_p=dropout
                )
        return mixed

    def _scores(self, bias: Bias, run: Run, first: int, last: int) -> Tensor:
        """What queries first..last add to their scores with all keys, (C, H, rows, L)."""
        if isinstance(bias, UnclippedBias):
            table, columns = _nearby(bias, run, first, last)
        else:
            table = _documents(bias.table, run)[:, :, first:last]
            columns = self._columns(bias, run.length, first, last)
        # (C, H, rows, R) -> (C, H, rows, L)
        return table.gather(-1, columns.expand(*table.shape[:2], -1, -1))

    def _columns(self, bias: DistanceBias, length: int, first: int, last: int) -> Tensor:
        """Column of the table for queries first..last and every key, (rows, L) int64.

        It depends on key - query alone, so that all documents and blocks are slices of one strip.
        """
        longest = max(self._layout.lengths)
        strip = self._strips.get((bias.left, bias.right))
        if strip is None or strip.shape[0] < last - first:
            keys = torch.arange(2 * longest, device=bias.table.device) - longest
            rows = torch.arange(last - first, device=bias.table.device)
            strip = (keys - rows[:, None]).clamp(-bias.left, bias.right) + bias.left
            self._strips[bias.left, bias.right] = strip
        return strip[: last - first, longest - first : longest - first + length]


def _nearby(bias: UnclippedBias, run: Run, first: int, last: int) -> tuple[Tensor, Tensor]:
    """The table (C, H, rows, W) of queries first..last, and the column of each key in it, (rows, L) int64."""
    middle = len(bias.distances) // 2
    vectors = bias.distances[middle - (last - 1) : middle + run.length - first]
    # (C, H, rows, D) @ (H, D, W)
    table = _documents(bias.queries, run)[:, :, first:last] @ vectors.permute(1, 2, 0)
    rows = torch.arange(last - first, device=table.device)
    keys = torch.arange(run.length, device=table.device)
    return table, keys - rows[:, None] + (last - first - 1)


def _pieces(layout: Packed, num_heads: int) -> Iterator[Run]:
    """Runs, cut so that one piece has few enough scores, but never less than one document."""
    for run in layout.runs():
        at_once = max(1, _SCORES // (num_heads * run.length**2))
        for first in range(0, run.count, at_once):
            yield Run(run.start + first * run.length, min(at_once, run.count - first), run.length)


def _row_blocks(run: Run, num_heads: int) -> Iterator[tuple[int, int]]:
    rows = max(_ROWS, _SCORES // (num_heads * run.count * run.length))
    for first in range(0, run.length, rows):
        yield first, min(first + rows, run.length)


def _documents(tensor: Tensor, run: Run) -> Tensor:
    """The documents of a run as a batch, without a copy: (N, H, X) -> (C, H, L, X)."""
    frames = tensor[run.start : run.start + run.count * run.length]
    return frames.view(run.count, run.length, *tensor.shape[1:]).transpose(1, 2)


class _Fused:
    """FlexAttention over all documents at once: a document mask, and the bias looked up in its table."""

    def __init__(self, layout: Packed) -> None:
        self._mask = _document_mask(layout)

    def __call__(
        self, queries: Tensor, keys: Tensor, values: Tensor, bias: Bias | None, *, dropout: float = 0.0
    ) -> Tensor:
        if dropout:
            raise ValueError(
                "the fused attention drops nothing; load with kernel='plain', or train with attention_dropout 0"
            )
        if isinstance(bias, UnclippedBias):
            bias = bias.whole()
        if bias is None and queries.device.type == "cpu":
            # Without a score modification the CPU form compiles for one N, and fails on the next.
            bias = DistanceBias(queries.new_zeros(*queries.shape[:2], 1), 0, 0)
        # (N, H, D) -> (1, H, N, D)
        q, k, v = (tensor.transpose(0, 1)[None] for tensor in (queries, keys, values))
        sizes = (*queries.shape[1:], *(() if bias is None else (bias.left, bias.right)))
        score_mod = None if bias is None else _add_bias(bias)
        mixed: Tensor = _compiled_flex(sizes)(q, k, v, score_mod, self._mask)
        return mixed[0].transpose(0, 1)


@cache
def _compiled_flex(sizes: tuple[int, ...]) -> Callable[..., Any]:
    """FlexAttention for models of one shape: compiled at the first call, and twice more as N changes, then no more."""

    def flex(q: Tensor, k: Tensor, v: Tensor, score_mod: Callable[..., Tensor] | None, mask: BlockMask) -> Any:
        return flex_attention(q, k, v, score_mod=score_mod, block_mask=mask)

    # The compiler remembers by a function's name which sizes changed, and makes symbols of them. N shall be one;
    # heads, channels and distances must not, for the CPU form cannot compile those: so each shape has its name.
    flex.__code__ = flex.__code__.replace(co_name="_".join(map(str, ("flex", *sizes))))
    return torch.compile(flex)


def _add_bias(bias: DistanceBias) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
    table, left, right = bias.table, bias.left, bias.right

    def score_mod(score: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        # Inside a document packed rows differ as frames do.
        return score + table[query, head, (key - query).clamp(-left, right) + left]

    return score_mod


def _document_mask(layout: Packed) -> BlockMask:
    """Which blocks of queries and keys share a document: from the lengths alone, never an (N, N) tensor."""
    documents = layout.documents
    num_blocks = -(-layout.num_frames // _BLOCK)
    first_row = torch.arange(num_blocks, device=layout.device) * _BLOCK
    last_row = (first_row + _BLOCK).clamp(max=layout.num_frames) - 1
    first_document, last_document = documents[first_row], documents[last_row]
    # Documents lie in order, so two blocks share one exactly if their ranges of documents overlap.
    shares = (first_document[:, None] <= last_document) & (first_document <= last_document[:, None])
    # Where both blocks lie inside one document, no score of theirs needs the mask.
    inside = shares & (first_document == last_document) & (first_document == last_document)[:, None]

    def same_document(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return documents[query] == documents[key]

    return BlockMask.from_kv_blocks(
        *_block_lists(shares & ~inside),
        *_block_lists(inside),
        BLOCK_SIZE=_BLOCK,
        mask_mod=same_document,
        seq_lengths=(layout.num_frames, layout.num_frames),
    )


def _block_lists(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Wanted key blocks of each query block: counts (1, 1, blocks), numbers (1, 1, blocks, blocks), int32."""
    counts = wanted.sum(-1, dtype=torch.int32)
    numbers = wanted.int().argsort(dim=-1, descending=True, stable=True).int()
    return counts[None, None], numbers[None, None]


_KERNELS: dict[Kernel, Callable[[Packed], Attend]] = {"plain": _Plain, "fused": _Fused}
