"""What an evaluation can be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pipeline.errors import UserError
from pipeline.scoring.frames import BACKGROUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of the command line, with `_` for `-`."""

    task: str | None = None
    """Name of the task's folder below the output; None: the only one there."""
    reference: str | None = None
    """A column of the table, or a JSONL manifest with references; None: what came along with the audio."""
    label_field: str | None = None
    """Field of the metadata, or of the manifest's lines, that holds the reference."""
    threshold: float = 0.5
    """Classification with several labels: those with at least this score count as given."""
    background: str = BACKGROUND
    """Frames: the label of unlabelled time."""
    trials: str | None = None
    """Embeddings: file of trials, `id id target|nontarget` a line; None: all pairs."""
    segments: bool = False
    """Embeddings: compare segments, not recordings."""
    bootstrap: int = 200
    """Embeddings: draws of speakers for the interval of the equal error rate; 0 for none."""


ONLY_FOR: Mapping[str, str] = {
    "threshold": "classify",
    "background": "frames",
    "trials": "embed",
    "segments": "embed",
    "bootstrap": "embed",
}
"""Option -> the one task that has it."""


def make(given: Mapping[str, Any]) -> Options:
    """Options from keywords.

    Raises:
        UserError: there is no such option, its value has no meaning, or two exclude each other.
    """
    known = {each.name for each in fields(Options)}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise UserError(f"{unknown[0]}: there is no such option; there are {', '.join(sorted(known))}")
    chosen = Options(**given)
    if not 0 <= chosen.threshold <= 1:
        raise UserError(f"--threshold: must be from 0 to 1, was {chosen.threshold:g}")
    if chosen.bootstrap < 0:
        raise UserError(f"--bootstrap: must be 0 or more, was {chosen.bootstrap}")
    if chosen.trials and chosen.segments:
        raise UserError("--trials names recordings and --segments compares all pairs of segments; leave one out")
    return chosen


def check_task(chosen: Options, task: str, folder: str) -> None:
    """Refuse options that another task has.

    Raises:
        UserError: one was given.
    """
    default = Options()
    for name, only in ONLY_FOR.items():
        if only != task and getattr(chosen, name) != getattr(default, name):
            raise UserError(f"--{name} is for {only}, and {folder} was written by {task}; leave it out")
