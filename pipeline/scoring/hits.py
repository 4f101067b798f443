"""How well one label is found: hits, false alarms, misses, and the ratios made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hits:
    """Where one label was given and where it belongs, counted in recordings or in frames."""

    label: str
    hits: int
    """Given, and rightly."""
    false_alarms: int
    """Given where it does not belong."""
    misses: int
    """Not given where it belongs."""

    @property
    def support(self) -> int:
        """How often the references have the label."""
        return self.hits + self.misses

    @property
    def precision(self) -> float:
        """Share of the places with the label that are right; 0 where it is never given."""
        return _ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of the places where it belongs that have it; 0 where it belongs nowhere."""
        return _ratio(self.hits, self.support)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 without a hit."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


def macro_f1(each: Sequence[Hits]) -> float:
    """Plain mean of the labels' F1: a rare label counts as much as a frequent one; 0 without labels."""
    return _ratio(sum(one.f1 for one in each), len(each))


def micro_f1(each: Sequence[Hits]) -> float:
    """F1 of all labels' counts together: a frequent label counts more."""
    return Hits(
        "", sum(one.hits for one in each), sum(one.false_alarms for one in each), sum(one.misses for one in each)
    ).f1


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
