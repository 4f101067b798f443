"""Documents laid end to end without padding: the one type that every layer takes.

Letters: N all frames of a batch, d channels. A document is one recording or one window of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring documents of one length."""

    start: int
    """First frame of the first."""
    count: int
    """How many documents."""
    length: int
    """Frames of each."""


@dataclass(frozen=True)
class Packed:
    """Where each document of a packed batch lies.

    Raises ValueError for a document without frames: leave it out of the batch.
    """

    lengths: tuple[int, ...]
    """Frames of each document, in the order in which they are laid; every one at least 1."""
    device: torch.device = torch.device("cpu")
    """Where the tensors of this layout live: beside the frames."""

    def __post_init__(self) -> None:
        if min(self.lengths, default=1) < 1:
            raise ValueError(f"every document needs at least 1 frame, got lengths {self.lengths}")

    @cached_property
    def num_frames(self) -> int:
        """N, the frames of all documents."""
        return sum(self.lengths)

    @cached_property
    def documents(self) -> Tensor:
        """Number of the document that each frame belongs to, (N,) int64."""
        lengths = torch.tensor(self.lengths, dtype=torch.int64, device=self.device)
        numbers = torch.arange(len(self.lengths), device=self.device)
        return numbers.repeat_interleave(lengths, output_size=self.num_frames)

    @cached_property
    def positions(self) -> Tensor:
        """Number of each frame in its document, (N,) int64."""
        # Documents lie in order, so that a search for a number finds its first frame.
        first = torch.searchsorted(self.documents, self.documents)
        return torch.arange(self.num_frames, device=self.device) - first

    def rows_after_gaps(self, gap: int) -> Tensor:
        """Row of each frame once `gap` empty rows stand before every document, (N,) int64."""
        return torch.arange(self.num_frames, device=self.device) + gap * (self.documents + 1)

    def runs(self) -> Iterator[Run]:
        """Neighbours of equal length together, so that they can be computed as one batch without a copy."""
        start = 0
        for length, members in groupby(self.lengths):
            count = sum(1 for _ in members)
            yield Run(start, count, length)
            start += count * length
