"""From files to rows in this process: units of real sources, and a model to hear them with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import flow, models, sources
from pipeline.corpus import Recording, Unit
from pipeline.flow import Doing
from pipeline.models.predict import Predictor
from pipeline.plan.ids import unit_name
from pipeline.sources import Problem
from pipeline.tasks.transcribe import NAME, Transcribe
from pipeline.text import Tokenizer

WHOLE = flow.Settings(window=3000, context=50)
"""A minute: nothing shorter is cut."""


def recordings_of(*places: Path) -> list[Recording]:
    """What a run would find in files and folders."""
    groups = list(sources.entries([str(place) for place in places], corpus="c"))
    assert not any(isinstance(group, Problem) for group in groups)
    return [each for group in groups for each in group]


def unit_of(recordings: Sequence[Recording]) -> Unit:
    """They together in one unit."""
    return Unit(unit_name(recordings), tuple(recordings))


@dataclass(frozen=True)
class Ear:
    """The demo's model and its words."""

    predictor: Predictor
    task: Transcribe

    @classmethod
    def of(cls, checkpoint: Path) -> Ear:
        return cls(Predictor({NAME: models.load(checkpoint)}), Transcribe(Tokenizer.load(checkpoint)))

    def budgeted(self, frame_budget: int) -> Ear:
        """The same with batches of another size."""
        return Ear(Predictor(self.predictor.models, frame_budget=frame_budget), self.task)

    def rows(self, recordings: Sequence[Recording], settings: flow.Settings = WHOLE) -> list[dict[str, Any]]:
        """Rows of one unit: `text`, `confidence`, `words`, `facts`, `error`."""
        return self.rows_of(flow.featurise(flow.read(unit_of(recordings)), settings), settings)

    def outputs_of(self, features: flow.UnitFeatures, settings: flow.Settings = WHOLE) -> flow.UnitOutputs:
        return flow.infer(features, [self.predictor], {NAME: Doing(self.task)}, settings)

    def rows_of(self, features: flow.UnitFeatures, settings: flow.Settings = WHOLE) -> list[dict[str, Any]]:
        outputs = self.outputs_of(features, settings)
        made = flow.rows(outputs, NAME, self.task)
        return [
            {name: column[index].as_py() for name, column in made.columns.items()}
            | {"facts": outputs.facts[index], "error": made.errors.get(index)}
            for index in range(len(outputs.recordings))
        ]
