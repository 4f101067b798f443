"""What each task is: its columns, what of a head's output leaves the device, and how that becomes rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa

from pipeline.config import RunConfig
from pipeline.tasks import classify, embed, frames, transcribe
from pipeline.tasks.heard import Heard, Rows
from pipeline.tasks.stretch import Piece, Pieces, Stretch

if TYPE_CHECKING:
    import torch

Kind = Literal["transcribe", "classify", "frames", "embed"]


class Task(Protocol):
    """One task with what its checkpoint and the options say; plain values that travel."""

    @property
    def pools(self) -> bool:
        """Whether the head says one thing of each piece, not of each frame."""
        ...

    @property
    def columns(self) -> tuple[pa.Field, ...]:
        """The columns that only this task has."""
        ...

    def pieces(self, stretch: Stretch) -> Pieces:
        """What of a stretch the head sees, each piece by itself."""
        ...

    def reduce(self, output: Any) -> tuple[torch.Tensor, ...]:
        """What the head says, on its device -> what leaves it: a row for each frame or for each piece."""
        ...

    def rows(self, heard: Sequence[Heard | None]) -> Rows:
        """One row per recording, in order; None stands for one that failed before."""
        ...

    def told(self, row: Mapping[str, Any]) -> str:
        """A row in one line."""
        ...


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of task, before it has a checkpoint."""

    output_version: int
    """Raised only when the same checkpoint and the same parameters give other labels than before."""
    head: str
    """Of the checkpoints that serve it."""
    options: tuple[str, ...]
    """Fields of the configuration that change its rows."""
    of: Callable[[Path, RunConfig], Task]


TASKS: Mapping[str, Form] = {
    "transcribe": Form(transcribe.OUTPUT_VERSION, transcribe.HEAD, (), transcribe.of),
    "classify": Form(classify.OUTPUT_VERSION, classify.HEAD, classify.OPTIONS, classify.of),
    "frames": Form(frames.OUTPUT_VERSION, frames.HEAD, frames.OPTIONS, frames.of),
    "embed": Form(embed.OUTPUT_VERSION, embed.HEAD, embed.OPTIONS, embed.of),
}
"""Every task by its name, which is also that of its folder in the table."""

__all__ = ["TASKS", "Form", "Heard", "Kind", "Piece", "Pieces", "Rows", "Stretch", "Task"]
