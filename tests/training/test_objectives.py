"""How the tasks judge a model."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.models.layout import Packed
from pipeline.models.outputs import EmbeddingOutput, FrameOutput
from pipeline.training import config
from pipeline.training.labels import IGNORED, Frames
from pipeline.training.objectives import FrameObjective, SpeakerObjective


class Says:
    """A head that finds what it is told."""

    def __init__(self, found: list[int]) -> None:
        self.logits = torch.nn.functional.one_hot(torch.tensor(found)).float()

    def score(self, hidden: Any, layout: Packed) -> FrameOutput:
        return FrameOutput(self.logits, hidden, layout.lengths)


@pytest.mark.parametrize("names", [("silence", "speech"), ("speech", "silence")])
def test_the_f1_of_frames_passes_over_the_background_wherever_the_head_has_it(names: tuple[str, ...]) -> None:
    objective = FrameObjective(Frames(names, "silence"))
    speech = names.index("speech")
    there = [speech if each == "x" else names.index("silence") for each in "xxx......."]
    found = [speech if each == "x" else names.index("silence") for each in "x........."]
    layout = Packed((10,))
    observed = objective.observe(Says(found), torch.zeros(10, 1), layout, [np.array(there)], [0])  # type: ignore[arg-type]
    assert objective.score([observed]) == pytest.approx(2 * 1 / (3 + 1))


def test_frames_that_count_nothing_are_not_judged() -> None:
    objective = FrameObjective(Frames(("a", "b"), None))
    target = np.array([IGNORED, 1, 0])
    observed = objective.observe(Says([1, 1, 0]), torch.zeros(3, 1), Packed((3,)), [target], [0])  # type: ignore[arg-type]
    assert objective.score([observed]) == 1.0


class Repeats:
    """A head whose vector is the first frame."""

    top = SimpleNamespace(length=lambda frames: frames)

    def _pooled(self, frames: int) -> int:
        return frames

    def score(self, hidden: Any, layout: Packed) -> EmbeddingOutput:
        vectors = torch.stack([part[0] for part in torch.split(hidden, list(layout.lengths))])
        return EmbeddingOutput(vectors, vectors)


def test_parts_of_one_recording_are_not_compared_whatever_batch_they_are_in() -> None:
    objective = SpeakerObjective(config.make({"task": "embed", "validation_segment": "40ms"}))
    # Speaker 0 sounds the same within recording 7, and in recording 8 as speaker 1 does in recording 9.
    batches = [([[1.0, 0.0], [0.0, 1.0]], [0, 0], [7, 8]), ([[1.0, 0.0], [0.1, 1.0]], [0, 1], [7, 9])]
    observed = []
    for vectors, speakers, recordings in batches:
        hidden = torch.tensor(vectors).repeat_interleave(2, dim=0)
        observed.append(
            objective.observe(Repeats(), hidden, Packed((2, 2)), speakers, recordings)  # type: ignore[arg-type]
        )
    assert objective.score(observed) == 1.0
