"""Scores of classification: one label a recording, several labels, or a number."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from pipeline import documents
from pipeline.errors import UserError
from pipeline.evaluation.labels import calibration_cells, calibration_json, hits_json, labels_sheet
from pipeline.evaluation.markdown import Sheet, part, percent
from pipeline.evaluation.options import Options
from pipeline.evaluation.report import Scores
from pipeline.evaluation.rows import Compared
from pipeline.quantities import counted
from pipeline.scoring.calibration import Calibration, calibration
from pipeline.scoring.classes import (
    Confusion,
    LabelSets,
    NumberErrors,
    average_precision,
    confusion,
    label_sets,
    number_errors,
)
from pipeline.scoring.durations import DurationGroup, by_duration
from pipeline.scoring.hits import macro_f1, micro_f1
from pipeline.tasks.classify import HOLDS

RESULT: Final = "score"
LACKING: Final = "without a label"
COLUMNS: Final[tuple[str, ...]] = ("label", "score", "scores")

_MOST_OF_ONE = 1.001
"""No scores that are shares of one add up to more, rounding included."""


@dataclass(frozen=True, slots=True)
class ClassScores(Scores):
    """One label a recording."""

    confusion: Confusion
    calibration: Calibration
    """Of the scores of the labels that were given."""
    durations: tuple[DurationGroup, ...]
    several: bool
    """Whether the model gives several labels at once: scores of one recording add up to more than 1."""

    @property
    def notes(self) -> list[str]:
        """That only one of several labels is judged."""
        if not self.several:
            return []
        return [
            "the model gives several labels at once and each reference is one: only the label with the highest score "
            'is compared. Write references as lists, as ["a"], to judge all labels at --threshold'
        ]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels that are a reference or were given."""
        return macro_f1(self.confusion.per_label)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": "one label",
            "accuracy": self.confusion.accuracy,
            "macro_f1": self.macro_f1,
            "calibration": calibration_json(self.calibration),
            "labels": [hits_json(each) for each in self.confusion.per_label],
            "confusion": {"labels": list(self.confusion.labels), "counts": self.confusion.counts.tolist()},
            "by_duration": [{**asdict(each), "rate": each.rate} for each in self.durations],
        }

    def sheets(self) -> list[Sheet]:
        """The figures, then each label's."""
        counts = self.confusion.counts
        figures = Sheet(
            "",
            ("score", "value"),
            (
                ("accuracy", part(int(counts.trace()), int(counts.sum()))),
                (f"macro F1 of {len(self.confusion.labels):,} labels", percent(self.macro_f1)),
                calibration_cells(self.calibration),
            ),
        )
        return [figures, labels_sheet(self.confusion.per_label, "rows")]

    def plots(self) -> dict[str, bytes]:
        """Confusion matrix, and wrong labels by duration."""
        from pipeline.scoring.plots import confusion_png, durations_png

        return {
            "confusion.png": confusion_png(self.confusion),
            "error_by_duration.png": durations_png(self.durations, what="wrong labels"),
        }


@dataclass(frozen=True, slots=True)
class LabelSetScores(Scores):
    """Several labels a recording."""

    found: LabelSets
    threshold: float
    """Labels with at least this score count as given."""
    calibration: Calibration
    """Of all scores in the table."""
    average_precision: dict[str, float] | None
    """Of each label that a reference has; None where some rows do not list all classes."""
    cut_short: int
    """Rows that list some classes only, all at or above the threshold: those not listed may be above it too."""

    @property
    def mean_average_precision(self) -> float | None:
        """Plain mean of the labels'."""
        each = self.average_precision
        return sum(each.values()) / len(each) if each else None

    @property
    def notes(self) -> list[str]:
        """That classes may be missing."""
        if not self.cut_short:
            return []
        return [
            f"in {counted(self.cut_short, 'row')} every listed class has at least --threshold {self.threshold:g}, and "
            "so may classes that are not listed, which count as not given. Classify with a higher --top to list all"
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": "several labels",
            "threshold": self.threshold,
            "exact": self.found.exact_share,
            "micro_f1": micro_f1(self.found.per_label),
            "macro_f1": macro_f1(self.found.per_label),
            "mean_average_precision": self.mean_average_precision,
            "average_precision": self.average_precision,
            "calibration": calibration_json(self.calibration),
            "labels": [hits_json(each) for each in self.found.per_label],
        }

    def sheets(self) -> list[Sheet]:
        """The figures, then each label's."""
        labels = self.found.per_label
        figures = Sheet(
            "",
            ("score", "value"),
            (
                (f"exactly the right labels, at {self.threshold:g}", part(self.found.exact, self.found.recordings)),
                ("micro F1", percent(micro_f1(labels))),
                (f"macro F1 of {len(labels):,} labels", percent(macro_f1(labels))),
                ("mean average precision", self._ranked()),
                calibration_cells(self.calibration),
            ),
        )
        return [figures, labels_sheet(labels, "rows")]

    def _ranked(self) -> str:
        if self.average_precision is None:
            return "not known: some rows do not list all classes"
        return percent(self.mean_average_precision)


@dataclass(frozen=True, slots=True)
class NumberScores(Scores):
    """A number a recording."""

    errors: NumberErrors

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"kind": "number", **asdict(self.errors)}

    def sheets(self) -> list[Sheet]:
        """The figures."""
        correlation = self.errors.correlation
        rows = (
            ("mean absolute error", f"{self.errors.mean_absolute:.4g}"),
            ("root mean square error", f"{self.errors.root_mean_square:.4g}"),
            ("correlation", "not defined" if correlation is None else f"{correlation:.3f}"),
        )
        return [Sheet("", ("score", "value"), rows)]


def compare(found: Compared, chosen: Options) -> Scores:
    """Compare labels, sets of labels or numbers, whichever the rows and references are.

    Raises:
        UserError: a reference is neither, or no reference is a label that the model knows.
    """
    if not any(each is not None for each in found.column("label")):
        return _numbers(found)
    known = _known(found)
    found = replace(found, references=[_whole(_parsed(each), known) for each in found.references])
    if any(isinstance(each, list) for each in found.references):
        return _sets(found, chosen.threshold)
    return _labels(found)


def _numbers(found: Compared) -> NumberScores:
    wanted = [_number(each, id) for each, id in zip(found.references, found.column("id"), strict=True)]
    return NumberScores(number_errors(wanted, found.column("score")))


def _labels(found: Compared) -> ClassScores:
    wanted = [_label(each, id) for each, id in zip(found.references, found.column("id"), strict=True)]
    given = found.column("label")
    _check_names(set(wanted), found)
    right = [a == b for a, b in zip(wanted, given, strict=True)]
    return ClassScores(
        confusion(wanted, given),
        calibration(found.column("score"), right),
        by_duration(found.column("duration"), [not each for each in right], [1] * len(right)),
        any(sum(one["score"] for one in each or ()) > _MOST_OF_ONE for each in found.column("scores")),
    )


def _sets(found: Compared, threshold: float) -> LabelSetScores:
    wanted = [
        {_label(one, id) for one in (each if isinstance(each, list) else [each])}
        for each, id in zip(found.references, found.column("id"), strict=True)
    ]
    _check_names(set().union(*wanted), found)
    scores = [{one["label"]: one["score"] for one in each or ()} for each in found.column("scores")]
    given = [{label for label, score in each.items() if score >= threshold} for each in scores]
    pairs = [
        (score, label in labels) for each, labels in zip(scores, wanted, strict=True) for label, score in each.items()
    ]
    known = set().union(*wanted, *scores)
    everything = all(len(each) == len(known) for each in scores)
    return LabelSetScores(
        label_sets(wanted, given),
        threshold,
        calibration([score for score, _ in pairs], [right for _, right in pairs]),
        _average_precisions(scores, wanted) if everything else None,
        sum(len(each) < len(known) and len(labels) == len(each) for each, labels in zip(scores, given, strict=True))
        if threshold < HOLDS
        else 0,
    )


def _average_precisions(scores: list[dict[str, float]], wanted: list[set[str]]) -> dict[str, float]:
    return {
        label: average_precision([each[label] for each in scores], [label in labels for labels in wanted])
        for label in sorted(set().union(*wanted))
    }


def _known(found: Compared) -> set[str | None]:
    """Labels that the rows have, as far as scores list them."""
    return {one["label"] for each in found.column("scores") for one in each or ()} | set(found.column("label"))


def _check_names(wanted: set[str], found: Compared) -> None:
    """References in other words than the model's would all count as wrong."""
    known = _known(found)
    if wanted and not wanted & known:
        raise UserError(
            f"no reference is a label of the model: the references are such as {min(wanted)!r}, the labels such as "
            f"{min(label for label in known if label is not None)!r}. Name another field with --label-field, or a "
            "JSONL manifest with --reference"
        )


def _parsed(reference: Any) -> Any:
    """A list of labels that a column of text holds as JSON as that list; all else as it is."""
    try:
        listed = documents.parse(reference) if isinstance(reference, str) and reference.startswith("[") else None
    except ValueError:
        return reference
    return listed if isinstance(listed, list) else reference


def _whole(reference: Any, known: set[str | None]) -> Any:
    """7 for 7.0 where only 7 is a label: a column of whole numbers in which one is missing is kept as floats."""
    whole = isinstance(reference, float) and reference.is_integer() and json.dumps(reference) not in known
    return int(reference) if whole and str(int(reference)) in known else reference


def _label(reference: Any, id: str) -> str:
    """A label as the model's configuration writes it; a number or a truth value is a name too."""
    if isinstance(reference, str):
        return reference.strip()
    if isinstance(reference, bool | int | float):
        return json.dumps(reference)
    raise UserError(f"{id}: the reference of a label must be text, a list of texts or a number, was {reference!r}")


def _number(reference: Any, id: str) -> float:
    try:
        number = float(reference)
    except (TypeError, ValueError, OverflowError):
        number = np.nan
    # The model gives float32: farther numbers are a slip, and their squares overflow.
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise UserError(
            f"{id}: the model gives numbers, and the reference {reference!r} is none. "
            "Name the field that has them with --label-field"
        )
    return number
