"""How the scores of labels are shown, to programs and to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.evaluation.markdown import Sheet, percent
from pipeline.scoring.calibration import Calibration
from pipeline.scoring.hits import Hits

_MOST_LABELS = 30
"""Labels that the page shows; `scores.json` has all."""


def hits_json(each: Hits) -> dict[str, Any]:
    """Counts and ratios of one label."""
    return {**asdict(each), "support": each.support, "precision": each.precision, "recall": each.recall, "f1": each.f1}


def calibration_json(found: Calibration) -> dict[str, Any]:
    """The error, how it was counted, and all bins."""
    return {"expected_error": found.error, "bins": [asdict(each) for each in found.bins]}


def calibration_cells(found: Calibration) -> tuple[str, str]:
    """Name and value of the calibration error."""
    return f"expected calibration error, {len(found.bins)} bins of equal width", percent(found.error)


def labels_sheet(labels: Sequence[Hits], counted_in: str) -> Sheet:
    """Precision, recall and F1 of each label, those with the lowest F1 first."""
    ordered = sorted(labels, key=lambda each: (each.f1, each.label))
    rows = tuple(
        (each.label, percent(each.precision), percent(each.recall), percent(each.f1), f"{each.support:,}")
        for each in ordered[:_MOST_LABELS]
    )
    title = "Labels"
    if len(ordered) > len(rows):
        title += f": the {len(rows)} with the lowest F1 of {len(ordered):,}; scores.json has all"
    return Sheet(title, ("label", "precision", "recall", "F1", counted_in), rows)
