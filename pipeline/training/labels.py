"""What is to be learnt of each recording: from what a manifest says to what a loss takes.

Letters: T frames of a recording, V classes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pipeline.corpus import FRAMES_PER_SECOND, Seconds
from pipeline.text import Tokenizer

Target = Any
"""What a loss takes of one example: token ids, a class number, a row of 0 and 1, a number, or (T,) class numbers."""

IGNORED = -100
"""Class of a frame that counts nothing, as in `pipeline.models.losses`."""
_CENTRE = 0.5 / FRAMES_PER_SECOND
"""Seconds from the start of a frame to the middle of the time that rows give it; what it hears lies 7.5 ms later."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What of a recording an example is, and how fast it is said."""

    start: Seconds = 0.0
    """In the recording as it is, from its very start, as the times of labels count."""
    speed: float = 1.0
    version: int = 0
    """Number of the speed among those that there are; 0 for the first."""


class Space(Protocol):
    """All labels that there are."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, in the order of the model's scores; none for words and numbers."""

    def check(self, label: Any) -> str | None:
        """Why a label cannot be learnt, or None."""

    def target(self, label: Any, stretch: Stretch, num_frames: int) -> Target:
        """What the loss takes of an example with this label."""


@dataclass(frozen=True, slots=True)
class Words:
    """Transcripts as tokens."""

    tokenizer: Tokenizer
    names: tuple[str, ...] = ()

    def check(self, label: Any) -> str | None:
        """Text must be text that the vocabulary spells."""
        if not isinstance(label, str):
            return f"must be text, got {label!r:.60}"
        try:
            ids = self.tokenizer.encode(" ".join(label.split()))
        except ValueError as error:
            return str(error)
        if self.tokenizer.unknown_id in ids:
            letters = "".join(label.split())
            unknown = next(letter for letter in letters if self.tokenizer.unknown_id in self.tokenizer.encode(letter))
            return f"has {unknown!r}, which is not in the vocabulary"
        return None

    def target(self, label: Any, stretch: Stretch, num_frames: int) -> Target:
        """Token ids."""
        return tuple(self.tokenizer.encode(" ".join(label.split())))


@dataclass(frozen=True, slots=True)
class Classes:
    """One class a recording, or several of which each is there or not."""

    names: tuple[str, ...]
    several: bool

    def check(self, label: Any) -> str | None:
        """The label must be a known class, or a list of such."""
        if self.several and not isinstance(label, list):
            return f"must be a list of classes, got {label!r:.60}"
        named = label if self.several else [label]
        unknown = [each for each in named if each not in self.names]
        return f"{unknown[0]!r:.60} is none of the classes {', '.join(self.names[:8])}" if unknown else None

    def target(self, label: Any, stretch: Stretch, num_frames: int) -> Target:
        """A class number, or (V,) 0 and 1."""
        if not self.several:
            return self.names.index(label)
        return tuple(float(name in label) for name in self.names)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A number a recording."""

    names: tuple[str, ...] = ("LABEL_0",)

    def check(self, label: Any) -> str | None:
        """The label must be a number."""
        return None if _is_float(label) else f"must be a number, as those of other lines, got {label!r:.60}"

    def target(self, label: Any, stretch: Stretch, num_frames: int) -> Target:
        """The number."""
        return float(label)


@dataclass(frozen=True, slots=True)
class Frames:
    """Stretches with a class each; later ones cover earlier ones."""

    names: tuple[str, ...]
    background: str | None
    """Class of frames that no stretch covers; None where they count nothing."""

    def check(self, label: Any) -> str | None:
        """The label must be a list of stretches of known classes."""
        if problem := stretch_problem(label):
            return problem
        unknown = [each["label"] for each in label if each["label"] not in self.names]
        return f"{unknown[0]!r:.60} is none of the classes {', '.join(self.names[:8])}" if unknown else None

    def target(self, label: Any, stretch: Stretch, num_frames: int) -> Target:
        """(T,) class numbers: that of the stretch in which the middle of each frame lies."""
        outside = IGNORED if self.background is None else self.names.index(self.background)
        classes: NDArray[np.int64] = np.full(num_frames, outside, dtype=np.int64)
        middles = stretch.start + (np.arange(num_frames) / FRAMES_PER_SECOND + _CENTRE) * stretch.speed
        for each in label:
            inside = (middles >= float(each["start"])) & (middles < float(each["end"]))
            classes[inside] = self.names.index(each["label"])
        return classes


@dataclass(frozen=True, slots=True)
class Speakers:
    """One speaker a recording; at another speed possibly another one."""

    speakers: tuple[str, ...]
    versions: tuple[str, ...] = ("",)
    """What the names of the speakers at each speed end with; one where the speed changes no speaker."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all speakers at the first speed, then at the second, and so on."""
        return tuple(f"{speaker}{version}" for version in self.versions for speaker in self.speakers)

    def check(self, label: Any) -> str | None:
        """The label must be a known speaker."""
        return None if str(label) in self.speakers else f"{label!r:.60} is none of the speakers"

    def target(self, label: Any, stretch: Stretch, num_frames: int) -> Target:
        """The speaker's number at this speed."""
        version = stretch.version if len(self.versions) > 1 else 0
        return version * len(self.speakers) + self.speakers.index(str(label))


def stretch_problem(label: Any) -> str | None:
    """Why a label is no list of stretches, or None."""
    wanted = 'must be a list of stretches, as [{"start": 0.5, "end": 1.25, "label": "speech"}]'
    if not isinstance(label, list):
        return f"{wanted}, got {label!r:.60}"
    for each in label:
        if not isinstance(each, Mapping) or not isinstance(each.get("label"), str):
            return f"{wanted}, got {each!r:.60}"
        start, end = each.get("start"), each.get("end")
        if not _is_float(start) or not _is_float(end):
            return f"{wanted}, got {each!r:.60}"
        if not start <= end:
            return f"has a stretch that ends before it starts: {each!r:.60}"
    return None


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_float(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a float holds: JSON has whole numbers of any length."""
    return _is_number(value) and (isinstance(value, float) or abs(value) <= sys.float_info.max)


def space_of_classes(labels: Sequence[Any]) -> Classes | Numbers:
    """Text is a class, a list is several, a number is a number.

    Raises:
        ValueError: for labels of different kinds.
    """
    if all(map(_is_number, labels)):
        return Numbers()
    if all(isinstance(label, str) for label in labels):
        return Classes(tuple(sorted(set(labels))), several=False)
    if all(isinstance(label, list) and all(isinstance(each, str) for each in label) for label in labels):
        return Classes(tuple(sorted({each for label in labels for each in label})), several=True)
    kinds = sorted({type(label).__name__ for label in labels})
    raise ValueError(f"labels must all be texts, all lists of texts or all numbers, got {', '.join(kinds)}")


def space_of_frames(labels: Sequence[Any], background: str | None) -> Frames:
    """Every class that a stretch names, the background first.

    Raises:
        ValueError: for a label that is no list of stretches.
    """
    for label in labels:
        if problem := stretch_problem(label):
            raise ValueError(problem)
    named = {each["label"] for label in labels for each in label} - {background}
    return Frames(((background,) if background is not None else ()) + tuple(sorted(named)), background)


def space_of_speakers(labels: Sequence[Any], speeds: Sequence[float] = (1.0,)) -> Speakers:
    """Every speaker, once a speed."""
    versions = ("",) if len(speeds) == 1 else tuple(f"@{speed:g}" for speed in speeds)
    return Speakers(tuple(sorted({str(label) for label in labels})), versions)
