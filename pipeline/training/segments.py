"""Stretches of what the encoder gave: an x-vector pools over them, in training as in the jobs.

Letters: M frames of a batch, m of its stretches, d channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.models.layout import Packed


def random_segments(hidden: Tensor, layout: Packed, *, shortest: int, longest: int) -> tuple[Tensor, Packed]:
    """(M, d) -> (m, d): a stretch of every document, of random length and place; a shorter document is taken whole.

    The generator is PyTorch's own, so that `torch.manual_seed` repeats them.
    """
    parts = []
    for document in torch.split(hidden, list(layout.lengths)):
        size = min(len(document), int(torch.randint(shortest, longest + 1, ())))
        start = int(torch.randint(len(document) - size + 1, ()))
        parts.append(document[start : start + size])
    return torch.cat(parts), Packed(tuple(map(len, parts)), layout.device)


def equal_segments(hidden: Tensor, layout: Packed, *, length: int) -> tuple[Tensor, Packed, list[int]]:
    """(M, d) -> (m, d), its layout, and the document of each stretch: side by side, the rest left out.

    A document shorter than `length` is one stretch.
    """
    parts: list[Tensor] = []
    owners: list[int] = []
    for number, document in enumerate(torch.split(hidden, list(layout.lengths))):
        cuts: Sequence[Tensor] = torch.split(document[: len(document) // length * length], length)
        found = [document] if len(document) < length else list(cuts)
        parts += found
        owners += [number] * len(found)
    return torch.cat(parts), Packed(tuple(map(len, parts)), layout.device), owners
