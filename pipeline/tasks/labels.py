"""The classes of a checkpoint, and how its scores become probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

from pipeline.errors import UserError
from pipeline.models import checkpoint
from pipeline.models.wav2vec2_bert.kinds import labels_of

if TYPE_CHECKING:
    import torch

Problem = Literal["single_label_classification", "multi_label_classification", "regression"]
"""`problem_type` of config.json."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of the classes, in the order of their scores."""

    names: tuple[str, ...]
    problem: Problem = "single_label_classification"

    @classmethod
    def load(cls, folder: Path) -> Labels:
        """Read `id2label` and `problem_type` of config.json; without a type one class is meant to be right.

        Raises:
            UserError: for a type that there is not.
        """
        document = checkpoint.read_config(folder, where=str(folder))
        problem = document.get("problem_type") or get_args(Problem)[0]
        if problem not in get_args(Problem):
            raise UserError(
                f"{folder}: config.json says problem_type={problem!r}; it must be one of {', '.join(get_args(Problem))}"
            )
        return cls(labels_of(document), cast(Problem, problem))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """(..., V) scores -> (..., V) float32: softmax, sigmoid for several labels at once, as they are for numbers."""
        if self.problem == "regression":
            return logits.float()
        if self.problem == "multi_label_classification":
            return logits.float().sigmoid()
        return logits.float().softmax(-1)
