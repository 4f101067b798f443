"""Recordings that a training learns nothing from, and why: nothing is left out without a count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from pipeline.models import Model
from pipeline.quantities import counted
from pipeline.training.dataset import Dataset
from pipeline.training.labels import Stretch, Words
from pipeline.training.objectives import Objective


def unusable(
    dataset: Dataset, model: Model, objective: Objective, *, words: Words | None = None
) -> Iterator[tuple[str, str]]:
    """Why an example is of no use, and its id, for each that is of none.

    What did not fit in memory is known to be unreadable only after it was asked for.

    Args:
        dataset: its examples.
        model: that learns from them.
        objective: what it learns.
        words: how labels are spelled, where CTC learns them.
    """
    least = objective.least(model)
    for number, example in enumerate(dataset.examples):
        frames = dataset.length(number)
        if error := dataset.waveforms.errors.get(number):
            yield f"{error.stage}: {error.message}", example.recording.id
        elif frames < least:
            yield f"shorter than the model needs, {counted(least, 'frame')} of 20 ms", example.recording.id
        elif words and model.top.length(frames) < frames_of(words.target(example.label, Stretch(), frames)):
            yield "text longer than the audio has frames", example.recording.id


def frames_of(tokens: Sequence[int]) -> int:
    """Fewest frames that CTC takes for tokens: one each, and a blank between two that are equal."""
    return len(tokens) + sum(one == other for one, other in pairwise(tokens))
