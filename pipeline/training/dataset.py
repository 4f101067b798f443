"""Examples as the model sees them: a stretch of audio, changed as the epoch draws it, its features and its target.

Letters: N samples, T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.audio import SAMPLE_RATE
from pipeline.audio.constants import FRAME_SHIFT, STACK
from pipeline.audio.fbank import log_mel, num_frames
from pipeline.audio.normalise import normalise_in_place, stack
from pipeline.corpus import Seconds
from pipeline.training.augment import Recipe, Samples, at_speed, augment
from pipeline.training.examples import Example
from pipeline.training.labels import Space, Stretch, Target
from pipeline.training.waveforms import Waveforms

Frames = NDArray[np.float32]
"""(n, 80) log-mel, 100 a second, not normalised."""
LONGEST_WHOLE = 600.0
"""Seconds that are heard of an example as it is, from its start: attention's time grows with the square."""


@dataclass(frozen=True, slots=True)
class Item:
    """One example, drawn."""

    index: int
    """Its number in the data set."""
    features: NDArray[np.float32]
    """(T, 160)."""
    target: Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is drawn for each example of an epoch."""

    seed: int
    longest: Seconds
    """Of a longer recording a random stretch is taken."""
    speeds: tuple[float, ...] = (1.0,)
    recipe: Recipe = Recipe()
    variants: int = 0
    """Changed copies of each recording, made once where memory allows; 0 where each epoch makes its own."""


class Dataset:
    """Examples with their audio.

    Args:
        examples: in a fixed order.
        space: what their labels mean.
        waveforms: of the examples, by the same numbers.
        drawing: what is drawn anew in each epoch; None gives every example as it is, up to `LONGEST_WHOLE`.
    """

    def __init__(
        self, examples: Sequence[Example], space: Space, waveforms: Waveforms, drawing: Drawing | None = None
    ) -> None:
        self.examples = examples
        self.waveforms = waveforms
        self._space = space
        self._drawing = drawing
        self._voices = [number for number, each in enumerate(examples) if each.recording.seconds > 0]
        self._made: dict[tuple[int, int], Frames] = {}

    def __len__(self) -> int:
        return len(self.examples)

    def lengths(self, epoch: int) -> list[int]:
        """Frames of each example as that epoch draws it, by what planning knows.

        What reading finds out must not change batches: each worker, and a training that goes on, knows something else.
        """
        return [self._length(epoch, index) for index in range(len(self))]

    def item(self, epoch: int, index: int) -> Item | None:
        """The example as that epoch draws it, the same at every call; None where it cannot be read or has no frame."""
        samples = self.waveforms.samples(index)
        if samples is None:
            return None
        stretch = Stretch()
        if self._drawing is None:
            # In float64, as the jobs compute features.
            frames = log_mel(samples[: round(LONGEST_WHOLE * SAMPLE_RATE)], dtype=np.float64)
            normalise_in_place(frames)
        elif self._drawing.variants:
            frames, stretch = self._of_variant(epoch, index, samples)
        else:
            random = self._random(epoch, index)
            samples, stretch = _cut(samples, self._drawing, random)
            frames = self._heard(samples, random)
            normalise_in_place(frames)
        if len(frames) < STACK:
            return None
        features, example = stack(frames), self.examples[index]
        # Audio may be a part of a recording, whose labels count from the start of the whole, as in tables and scores.
        stretch = replace(stretch, start=example.recording.start + stretch.start)
        return Item(index, features, self._space.target(example.label, stretch, len(features)))

    def _heard(self, samples: Samples, random: np.random.Generator) -> Frames:
        """(N,) -> log-mel frames, (n, 80), of what augmentation leaves."""
        assert self._drawing is not None
        samples = augment(samples, self._drawing.recipe, random, voice=self._voice)
        return log_mel(samples, dtype=np.float64)

    def _of_variant(self, epoch: int, index: int, samples: Samples) -> tuple[Frames, Stretch]:
        """A random stretch of one of the kept copies, normalised, (n, 80)."""
        assert self._drawing is not None
        variant = epoch % self._drawing.variants
        random = self._random(variant, index)
        speed = float(random.choice(self._drawing.speeds))
        whole = self._made.get((variant, index))
        if whole is None:
            whole = self._heard(at_speed(samples, speed), random)
            self.waveforms.room.keep(self._made, (variant, index), whole)
        size = num_frames(round(self._drawing.longest * SAMPLE_RATE))
        # A number that no variant has: where to cut is drawn in every epoch.
        random = self._random(self._drawing.variants + epoch, index)
        start = int(random.integers(max(len(whole) - size, 0) + 1))
        stretch = Stretch(start * FRAME_SHIFT / SAMPLE_RATE * speed, speed, self._drawing.speeds.index(speed))
        # As a stretch of a long recording, which is normalised as a whole, or as a short recording of its own.
        frames = whole.copy() if random.random() < 0.5 else whole[start : start + size].copy()
        normalise_in_place(frames)
        return frames[start : start + size] if len(frames) == len(whole) else frames, stretch

    def length(self, index: int) -> int:
        """Frames of an example as it is, by what planning knows."""
        return _frames_of(self.examples[index].recording.seconds)

    def _length(self, epoch: int, index: int) -> int:
        if self._drawing is None:
            return _frames_of(min(self.examples[index].recording.seconds, LONGEST_WHOLE))
        number = epoch % self._drawing.variants if self._drawing.variants else epoch
        speed = self._random(number, index).choice(self._drawing.speeds)
        return _frames_of(min(self.examples[index].recording.seconds / speed, self._drawing.longest))

    def _random(self, number: int, index: int) -> np.random.Generator:
        assert self._drawing is not None
        return np.random.default_rng([self._drawing.seed, number, index])

    def _voice(self, random: np.random.Generator, num_samples: int) -> Samples:
        """Somebody's speech from the data set, repeated if need be, at unit power."""
        samples = self.waveforms.samples(int(random.choice(self._voices)))
        if samples is None or not len(samples):
            return np.zeros(num_samples, np.float32)
        start = random.integers(len(samples))
        taken = np.take(samples, np.arange(start, start + num_samples), mode="wrap")
        return taken / np.float32(np.sqrt(np.square(taken).mean()) + 1e-9)


def _frames_of(seconds: Seconds) -> int:
    return num_frames(round(seconds * SAMPLE_RATE)) // STACK


def _cut(samples: Samples, drawing: Drawing, random: np.random.Generator) -> tuple[Samples, Stretch]:
    """(N,) -> a random stretch at a random speed."""
    # The first draw, for `_length` draws the same.
    speed = float(random.choice(drawing.speeds))
    size = int(drawing.longest * SAMPLE_RATE * speed)
    start = int(random.integers(max(len(samples) - size, 0) + 1))
    stretch = Stretch(start / SAMPLE_RATE, speed, drawing.speeds.index(speed))
    return at_speed(samples[start : start + size], speed), stretch
