"""Long recordings of digits, joined from short ones, in which every digit can be looked up."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.digits import RATE, Utterance


@dataclass(frozen=True)
class Joined:
    """Strings of digits, one behind the other."""

    strings: tuple[Utterance, ...]
    samples: np.ndarray
    """(N,) float32 at 8 kHz."""
    digits: tuple[tuple[str, float, float], ...]
    """What is said from when to when, seconds."""

    @property
    def text(self) -> str:
        return " ".join(word for word, _, _ in self.digits)

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    def look_up(self, words: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """For each digit the words whose middle lies nearest to it."""
        found: list[list[dict[str, Any]]] = [[] for _ in self.digits]
        edges = [(before[2] + after[1]) / 2 for before, after in itertools.pairwise(self.digits)]
        for word in words:
            found[int(np.searchsorted(edges, (word["start"] + word["end"]) / 2))].append(word)
        return found

    def near(self, seams: Sequence[float], *, seconds: float) -> list[bool]:
        """For each digit whether a seam lies in it or that close to it."""
        places = np.asarray(seams, dtype=float)
        return [bool(((places > start - seconds) & (places < end + seconds)).any()) for _, start, end in self.digits]


def join(spoken: Sequence[Utterance], *, seconds: float) -> Joined:
    """At least so many seconds of them."""
    digits, starts = [], [0.0]
    for each in spoken:
        if starts[-1] >= seconds:
            break
        digits += [
            (word, starts[-1] + start, starts[-1] + end)
            for word, start, end in zip(each.text.split(), each.starts, each.ends, strict=True)
        ]
        starts.append(starts[-1] + each.seconds)
    strings = tuple(spoken[: len(starts) - 1])
    return Joined(strings, np.concatenate([each.samples for each in strings]), tuple(digits))
