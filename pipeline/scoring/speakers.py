"""How well scores tell one speaker from two: equal error rate and detection cost of trials.

A trial compares two recordings; it is a target where both are of one speaker. It is accepted where its score is
not below a threshold. A target that is not accepted is a miss, another trial that is accepted a false alarm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Misses and false alarms at every threshold where the curve turns, from the highest to the lowest.

    The first point accepts nothing, the last accepts all; trials with equal scores are accepted together.
    """

    misses: Floats
    """(K,) share of the targets that are not accepted, from 1 to 0."""
    false_alarms: Floats
    """(K,) share of the other trials that are accepted, from 0 to 1."""

    @property
    def equal_error_rate(self) -> float:
        """Where misses and false alarms are equally frequent: on the straight line between the two points around it.

        This is the plain curve, not its convex hull, whose rate is never higher.
        """
        gap = self.misses - self.false_alarms
        after = int(np.argmax(gap <= 0))
        before = after - 1
        share = gap[before] / (gap[before] - gap[after])
        return float(self.misses[before] + share * (self.misses[after] - self.misses[before]))

    def min_cost(self, p_target: float) -> float:
        """Lowest detection cost of any threshold, where 1 is the cost of not listening at all.

        The normalised cost of the speaker recognition evaluations of NIST (evaluation plans of 2018 and 2019), with
        a miss and a false alarm costing 1 each: (p misses + (1 - p) false alarms) / min(p, 1 - p).

        Args:
            p_target: assumed share p of targets, between 0 and 1.
        """
        costs = p_target * self.misses + (1 - p_target) * self.false_alarms
        return float(costs.min() / min(p_target, 1 - p_target))


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """Percentile interval of a bootstrap."""

    low: float
    high: float
    replicates: int
    """Draws that had both kinds of trial."""
    groups: int
    """How many speakers there were to draw."""


def curve(scores: ArrayLike, targets: ArrayLike) -> Curve:
    """Misses and false alarms of some trials.

    Args:
        scores: (N,) higher for what sounds more alike.
        targets: (N,) whether both recordings are of one speaker.

    Raises:
        UserError: there is no target, or nothing but targets.
    """
    values, flags = np.asarray(scores, dtype=np.float64), np.asarray(targets, dtype=bool)
    if flags.all() or not flags.any():
        raise UserError(
            f"trials need both kinds, same speaker and different speakers: {int(flags.sum())} and "
            f"{int((~flags).sum())} were given. Score a table with several speakers, some with several recordings."
        )
    return _Corners.of(-np.sort(-values[flags]), -np.sort(-values[~flags])).curve(
        np.arange(flags.sum() + 1.0), np.arange((~flags).sum() + 1.0)
    )


def bootstrap(
    scores: ArrayLike, targets: ArrayLike, first: ArrayLike, second: ArrayLike,
    *, replicates: int = 200, level: float = 0.95, seed: int = 0,
) -> ConfidenceInterval | None:  # fmt: skip
    """Interval of the equal error rate, drawing speakers anew, not trials: those of one speaker are not independent.

    Each replicate draws as many speakers as there are, with replacement; a trial of two speakers counts as often as
    the product of how often they were drawn, a trial within one speaker as often as that one.

    Args:
        scores: (N,) as in `curve`.
        targets: (N,) as in `curve`.
        first: (N,) number of the speaker of the first recording of each trial; others are not drawn.
        second: (N,) the same of the second.
        replicates: how many draws.
        level: share of the draws inside the interval.
        seed: of the random numbers.

    Returns:
        None where no draw had both kinds of trial.
    """
    values, flags = np.asarray(scores, dtype=np.float64), np.asarray(targets, dtype=bool)
    there, places = np.unique(np.stack([first, second]), return_inverse=True)
    one, two = places.reshape(2, -1).astype(np.int32)
    speakers = len(there)
    order = np.argsort(-values, kind="stable")
    same, other = order[flags[order]], order[~flags[order]]
    corners = _Corners.of(values[same], values[other])
    random = np.random.default_rng(seed)
    rates = []
    for _ in range(replicates):
        drawn = np.bincount(random.integers(speakers, size=speakers), minlength=speakers).astype(np.float64)
        of_targets, of_others = (_added(drawn, one[which], two[which]) for which in (same, other))
        if of_targets[-1] and of_others[-1]:
            rates.append(corners.curve(of_targets, of_others).equal_error_rate)
    if not rates:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(rates, [tail, 1 - tail])
    return ConfidenceInterval(float(low), float(high), len(rates), speakers)


@dataclass(frozen=True, slots=True)
class _Corners:
    """Where the curve turns: just above and at the score of every target; between these only false alarms grow."""

    targets: NDArray[np.int64]
    """(2K + 2,) how many targets, counted from the highest, are accepted, for K different scores of targets."""
    others: NDArray[np.int64]
    """(2K + 2,) how many of the others are."""

    @classmethod
    def of(cls, targets: Floats, others: Floats) -> _Corners:
        """Corners of trials, given the scores of both kinds in falling order."""
        at = np.unique(targets)[::-1]
        up_to = len(targets) - np.searchsorted(targets[::-1], at, side="left")
        above, reached = (len(others) - np.searchsorted(others[::-1], at, side=side) for side in ("right", "left"))
        ends = np.append(0, up_to)
        return cls(
            np.concatenate([[0], np.stack([ends[:-1], up_to], 1).ravel(), [len(targets)]]),
            np.concatenate([[0], np.stack([above, reached], 1).ravel(), [len(others)]]),
        )

    def curve(self, targets: Floats, others: Floats) -> Curve:
        """The curve where the first n targets weigh `targets[n]` together, and so for the others."""
        return Curve(1.0 - targets[self.targets] / targets[-1], others[self.others] / others[-1])


def _added(drawn: Floats, first: NDArray[np.int32], second: NDArray[np.int32]) -> Floats:
    """Weights of the first n trials together, n from 0 to all, (N + 1,)."""
    weights = drawn[first] * np.where(first == second, 1.0, drawn[second])
    return np.concatenate([[0.0], np.cumsum(weights)])
