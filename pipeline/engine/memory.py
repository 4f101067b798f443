"""Memory that a worker of each stage takes, from the largest unit and the models. Pure.

What is each worker's own: libraries are there once for a machine, and what lies in the object store is counted there.
The figures are those of `tests/benchmarks/memory.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.audio.constants import MAX_SECONDS
from pipeline.corpus import FRAMES_PER_SECOND, LEAST_BYTES_PER_SECOND, WHOLE_SECONDS, Seconds
from pipeline.plan.generations import UnitRef

READ_BASE = 140_000_000
FEATURES_BASE = 180_000_000
"""Bytes of the actor and of the process that decodes for it."""
MODEL_BASE = 450_000_000
CUDA_BASE = 2_000_000_000
"""Bytes of a process that uses a GPU, beside all else; by judgement."""
COMMIT_BASE = 140_000_000
"""Bytes of a worker that has all its libraries and nothing to do."""

FRAME_BYTES = 160 * 4
"""Of the features of 20 ms in single precision."""
SECOND_BYTES = 16_000 * 4
"""Of samples in single precision, which travel where the model's device makes the features; most take half of it."""
FRAMES_HELD = 2.0
"""The frames of a unit, or its samples, are held twice while they are packed: file by file, and together."""
PAYLOADS_HELD = 1.0
"""A read holds the encoded bytes of its unit, and so does what hands them to the process that decodes."""
WEIGHTS_HELD = 1.2
"""Weights, and what is prepared of them for the matrix products."""


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest unit that there is to do, by each measure."""

    size: int = 0
    """Encoded bytes that its read holds."""
    seconds: Seconds = 0.0
    """Of audio, as far as the bytes are enough for it, and a decoder may give so much back: what goes beyond that ends
    as an error row, whatever its header says."""

    @classmethod
    def of(cls, units: Iterable[Largest]) -> Largest:
        """The largest of some units; none of them need be both."""
        every = tuple(units)
        return cls(max((each.size for each in every), default=0), max((each.seconds for each in every), default=0.0))


def extent(unit: UnitRef, *, held: int, recording_memory: int) -> Largest:
    """What a unit takes, as far as its plan is believed.

    Args:
        unit: as it was planned.
        held: encoded bytes that its read holds.
        recording_memory: bytes that decoding one of its files may take.
    """
    longest = min(MAX_SECONDS, recording_memory / (FRAME_BYTES * FRAMES_PER_SECOND))
    enough = max(WHOLE_SECONDS, unit.size / LEAST_BYTES_PER_SECOND)
    return Largest(held, min(unit.seconds, enough, unit.count * longest))


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes of one worker of each stage."""

    read: int = 0
    features: int = 0
    commit: int = 0
    models: tuple[int, ...] = (0,)
    """Of an actor of each team."""

    @property
    def model(self) -> int:
        """Of one actor of every team together."""
        return sum(self.models)

    @property
    def of_unit(self) -> int:
        """Of those workers that take more for a larger unit."""
        return self.read + self.features

    @property
    def largest(self) -> int:
        """Of the worker that takes most."""
        return max(self.read, self.features, self.commit, *self.models)


def needs(largest: Largest, team_bytes: Iterable[int], *, gpu: bool, on_device: bool = False) -> Needs:
    """What a worker of each stage takes.

    Args:
        largest: unit that it may have to do.
        team_bytes: weights of each team's models.
        gpu: whether models run there.
        on_device: whether features are made where the models are.
    """
    frames = FRAME_BYTES * FRAMES_PER_SECOND * largest.seconds
    model = MODEL_BASE + (CUDA_BASE if gpu else 0) + (frames if on_device else 0)
    carried = SECOND_BYTES * largest.seconds if on_device else frames
    return Needs(
        read=int(READ_BASE + PAYLOADS_HELD * largest.size),
        features=int(FEATURES_BASE + PAYLOADS_HELD * largest.size + FRAMES_HELD * carried),
        commit=COMMIT_BASE,
        models=tuple(int(model + WEIGHTS_HELD * each) for each in team_bytes),
    )
