"""What each task is: its columns, what of the model's output leaves the device, and how that becomes rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from pipeline.tasks import transcribe
from pipeline.tasks.transcribe import Heard, Rows
from pipeline.text import Tokenizer

if TYPE_CHECKING:
    import torch


class Task(Protocol):
    """A module of this package; one checkpoint serves one task."""

    NAME: str
    """What its folder in the table is called."""
    OUTPUT_VERSION: int
    """Raised only when the same checkpoint and the same parameters give other labels than before."""
    COLUMNS: tuple[pa.Field, ...]
    """The columns that only this task has."""

    def reduce(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (T, V) on their device -> the few numbers per frame that leave it."""
        ...

    def rows(self, heard: Sequence[Heard | None], tokenizer: Tokenizer) -> Rows:
        """One row per recording, in order; None stands for one that failed before."""
        ...


TASKS: Mapping[str, Task] = {transcribe.NAME: transcribe}
"""Every task by its name."""

__all__ = ["TASKS", "Heard", "Rows", "Task"]
