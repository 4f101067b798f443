"""What an evaluation can be asked for: every field is an option of the command line and a keyword in Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline import options
from pipeline.errors import UserError
from pipeline.options import option
from pipeline.quantities import parse_share
from pipeline.scoring.frames import BACKGROUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One evaluation, as the user asked for it; without a wish, what came along with the audio is the reference."""

    task: str | None = option(
        "what to compare", "name of the task's folder in the table; default: the only one there",
        default=None, metavar="NAME",
    )  # fmt: skip
    reference: str | None = option(
        "what to compare",
        "column of the table, or JSONL manifest whose lines have the id or key of a row, or the id of a recording in "
        "several rows, as `id` and the reference as text, label, frames or speaker",
        default=None, metavar="COLUMN|FILE",
    )  # fmt: skip
    label_field: str | None = option(
        "what to compare", "field of the metadata, or of the manifest, with the reference",
        default=None, metavar="FIELD",
    )  # fmt: skip
    threshold: float = option(
        "options of one task", "classify, several labels: those with at least this score count as given",
        default=0.5, parse=parse_share, metavar="SHARE", of=("classify",),
    )  # fmt: skip
    background: str = option(
        "options of one task", "frames: the label of unlabelled time",
        default=BACKGROUND, metavar="LABEL", of=("frames",),
    )  # fmt: skip
    trials: str | None = option(
        "options of one task",
        "embed: lines of two ids or keys and target, nontarget, 1 or 0; default: all pairs",
        default=None, metavar="FILE", of=("embed",),
    )  # fmt: skip
    segments: bool = option(
        "options of one task", "embed: compare segments instead of recordings", default=False, of=("embed",)
    )
    bootstrap: int = option(
        "options of one task", "embed: draws of speakers for the interval of the equal error rate, 0 for none",
        default=200, metavar="N", of=("embed",),
    )  # fmt: skip

    def __post_init__(self) -> None:
        if wrong := options.no_share("threshold", self.threshold):
            raise UserError(wrong)
        if self.trials and self.segments:
            raise UserError("--trials names recordings and --segments compares all pairs of segments; leave one out")


def check_task(given: Mapping[str, Any], task: str, folder: str) -> None:
    """Refuse options that another task has.

    Raises:
        UserError: one was given.
    """
    try:
        options.check_served(Options, given, task)
    except UserError as error:
        raise UserError(f"{folder}: {error}; leave it out") from None
