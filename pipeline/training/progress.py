"""What a person sees of a training: a line now and then, and one for each validation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from pipeline.corpus import Seconds
from pipeline.quantities import show_seconds
from pipeline.training.checkpoints import Position
from pipeline.training.curve import Row


class Progress:
    """Lines about steps.

    Args:
        say: shows a line.
        every: seconds between lines; a validation is always shown.
    """

    def __init__(self, say: Callable[[str], None], *, every: Seconds) -> None:
        self._say, self._every = say, every
        self._spoke = self._began = time.monotonic()
        self._first: Row | None = None
        self._losses: list[float] = []

    def start(self, position: Position, epochs: float) -> None:
        """Say where it begins."""
        if position.step:
            self._say(f"goes on at step {position.step}, epoch {position.epoch} of {epochs:g}")

    def step(self, row: Row, epochs: float) -> None:
        """Take note of a step, and say so if it is time."""
        self._first = self._first or row
        self._losses.append(row.loss)
        judged = row.score is not None
        if not judged and time.monotonic() - self._spoke < self._every:
            return
        score = f"  validation {_number(row.validation_loss)}  score {_number(row.score)}" if judged else ""
        mean = math.fsum(self._losses) / len(self._losses)
        self._say(
            f"epoch {row.epoch:.2f}/{epochs:g}  step {row.step}  loss {mean:.4f}{score}  {self._left(row, epochs)}"
        )
        self._losses = []
        self._spoke = time.monotonic()

    def _left(self, row: Row, epochs: float) -> str:
        assert self._first is not None
        done = row.epoch - self._first.epoch
        if done <= 0 or row.epoch >= epochs:
            return f"{show_seconds(time.monotonic() - self._began)} so far"
        return f"{show_seconds((time.monotonic() - self._began) / done * (epochs - row.epoch))} left"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"
