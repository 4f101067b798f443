"""What trains a tiny model on tones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.training import config, discriminant, fit
from pipeline.training.fit import Fitted
from pipeline.training.prepare import prepare
from pipeline.training.team import Team

Train = Callable[..., Fitted]


@pytest.fixture
def train(tones: Path, bare: Path) -> Train:
    """Return a function (output, options) -> how a training went, on the tones where no other source is named."""

    def call(output: Path, *, source: Path = tones, said: list[str] | None = None, **given: Any) -> Fitted:
        defaults = {"model": str(bare), "from_scratch": True, "epochs": 3, "frame_budget": 150, "learning_rate": 3e-3}
        chosen = config.make({**defaults, "validation_share": 0.25, **given})
        say = said.append if said is not None else lambda words: None
        return fit.fit(prepare([str(source)], chosen), output, chosen, team=Team(), device="cpu", say=say)

    return call


@pytest.fixture(autouse=True)
def few_discriminants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tones need not be heard thousands of times before the training."""
    monkeypatch.setattr(discriminant, "EXAMPLES", 100)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
