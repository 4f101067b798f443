"""Hostile recordings through the job, on Ray: as many of each kind as the time allows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.jobs.poisoned import ENDS, MODEL_ENDS, survive, survive_in_the_model

EACH = 3
"""Of every kind in a run; its loops, hoards and hangs take it a few minutes."""
ENOUGH = 30
"""Of every kind."""
UNIT_SECONDS = 33
"""Of a unit: half of what ends the model, so that its two processes have as much to do."""
DECODER, MODEL = "recordings that end the decoder", "recordings that end the model"
KINDS = (*(f"decoder {kind}" for kind in ENDS), *(f"model {kind}" for kind in MODEL_ENDS))


def run(seed: int, deadline: float, folder: Path) -> dict[str, int]:
    """Transcribe hostile recordings among good ones, each kind at least once; their order is always the same.

    Raises:
        AssertionError: one did not end as its row, or a neighbour was not heard.
    """
    counts: Counter[str] = Counter()
    for number in range(ENOUGH // EACH):
        survive(folder / f"decoder-{number}", EACH)
        counts.update(counted(DECODER, "decoder", ENDS))
        survive_in_the_model(folder / f"model-{number}", EACH, unit_seconds=UNIT_SECONDS)
        counts.update(counted(MODEL, "model", MODEL_ENDS))
        if time.monotonic() > deadline:
            break
    return dict(counts)


def counted(name: str, process: str, kinds: Mapping[str, str]) -> dict[str, int]:
    """What one run adds, in all and of each kind."""
    return {name: EACH * len(kinds), **{f"{process} {kind}": EACH for kind in kinds}}
