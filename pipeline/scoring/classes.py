"""How well recordings are classified: one label each, several labels each, or a number each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.scoring.hits import Hits


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which label was given for which: single-label classification."""

    labels: tuple[str, ...]
    """Labels of the references and of the predictions, sorted."""
    counts: NDArray[np.int64]
    """(C, C): rows are references, columns predictions, both in the order of `labels`."""

    @property
    def accuracy(self) -> float | None:
        """Share of the recordings with the right label; None without recordings."""
        total = int(self.counts.sum())
        return int(np.trace(self.counts)) / total if total else None

    @property
    def per_label(self) -> tuple[Hits, ...]:
        """Hits of each label, in the order of `labels`."""
        right, given, wanted = np.diag(self.counts), self.counts.sum(axis=0), self.counts.sum(axis=1)
        return tuple(
            Hits(label, int(right[i]), int(given[i] - right[i]), int(wanted[i] - right[i]))
            for i, label in enumerate(self.labels)
        )


def confusion(references: Sequence[str], predictions: Sequence[str]) -> Confusion:
    """Count which label was given for which, pair by pair.

    Args:
        references: the right label of each recording.
        predictions: the label that each was given, in the same order.
    """
    labels = sorted({*references, *predictions})
    place = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for reference, prediction in zip(references, predictions, strict=True):
        counts[place[reference], place[prediction]] += 1
    return Confusion(tuple(labels), counts)


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Several labels a recording: how well each is found, and how often all are right at once."""

    recordings: int
    exact: int
    """Recordings whose labels are the reference's, none more and none fewer."""
    per_label: tuple[Hits, ...]
    """Sorted by label."""

    @property
    def exact_share(self) -> float | None:
        """Share of the recordings with exactly the right labels; None without recordings."""
        return self.exact / self.recordings if self.recordings else None


def label_sets(references: Sequence[Set[str]], predictions: Sequence[Set[str]]) -> LabelSets:
    """Compare sets of labels, recording by recording."""
    right, given, wanted = Counter[str](), Counter[str](), Counter[str]()
    exact = 0
    for reference, prediction in zip(references, predictions, strict=True):
        right.update(reference & prediction)
        given.update(prediction)
        wanted.update(reference)
        exact += reference == prediction
    per_label = tuple(
        Hits(label, right[label], given[label] - right[label], wanted[label] - right[label])
        for label in sorted({*given, *wanted})
    )
    return LabelSets(len(references), exact, per_label)


def average_precision(scores: ArrayLike, right: ArrayLike) -> float:
    """How well scores of one label rank the recordings that have it before the others, whatever the threshold.

    The mean, over the recordings that have it, of the precision where all that score at least as much as it are given.

    Args:
        scores: (N,).
        right: (N,) whether the recording has the label; some do.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(right, dtype=bool)
    order = np.argsort(-values, kind="stable")
    precision = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    # Equal scores are given together: the last of them counts for all.
    last = np.searchsorted(-values[order], -values[truth], side="right") - 1
    return float(precision[last].mean())


@dataclass(frozen=True, slots=True)
class NumberErrors:
    """Regression: how far numbers are from their references, in the references' unit."""

    mean_absolute: float
    root_mean_square: float
    correlation: float | None
    """Pearson's r, -1 to 1; None where either side does not vary."""


def number_errors(references: ArrayLike, predictions: ArrayLike) -> NumberErrors:
    """Compare numbers: references (N,), predictions (N,), N >= 1."""
    wanted, given = np.asarray(references, dtype=np.float64), np.asarray(predictions, dtype=np.float64)
    gaps = given - wanted
    varies = np.ptp(wanted) > 0 and np.ptp(given) > 0
    return NumberErrors(
        float(np.abs(gaps).mean()),
        float(np.sqrt((gaps**2).mean())),
        float(np.corrcoef(wanted, given)[0, 1]) if varies else None,
    )
