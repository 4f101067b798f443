"""The workers that share a training: each has a part of every step's batches, and all have the same weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor


def _alone(tensors: Sequence[Tensor]) -> None:
    """The mean over one worker."""


@dataclass(frozen=True, slots=True)
class Team:
    """This worker among the others."""

    rank: int = 0
    size: int = 1
    mean: Callable[[Sequence[Tensor]], None] = _alone
    """Replaces tensors by their mean over all workers; every worker must call it with tensors of the same shapes."""

    @property
    def leads(self) -> bool:
        """Whether this worker validates, writes and talks."""
        return self.rank == 0
