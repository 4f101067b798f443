"""One short recording in this process: no cluster to start, first words within seconds."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import flow
from pipeline.config import RunConfig
from pipeline.corpus import Seconds
from pipeline.errors import VoxmillError
from pipeline.job import Job
from pipeline.placement import LOCAL, choose_device, ray_address
from pipeline.plan import UnitRef, load_unit
from pipeline.receipts import Receipt, Timings
from pipeline.timing import StageClock

if TYPE_CHECKING:
    from pipeline.models.predict import Predictor
    from pipeline.text import Tokenizer

LONGEST: Seconds = 600.0
"""One recording up to this long is transcribed here; a longer one is worth a cluster's start-up."""

WORKERS = {"read": 1, "features": 1, "model": 1, "commit": 1}


def fits(units: Sequence[UnitRef], config: RunConfig) -> bool:
    """Whether the pending work is one short recording that nobody asked a cluster for."""
    asked = (config.gpus, config.num_cpus, config.read_tasks, config.feature_actors, config.model_actors)
    local = ray_address(config.address) == LOCAL
    return local and not any(asked) and len(units) == 1 and units[0].count == 1 and units[0].seconds <= LONGEST


def device(config: RunConfig) -> Literal["cuda", "cpu"]:
    """Where the model runs in this process.

    Raises:
        UserError: a GPU is asked for and there is none.
    """
    import torch

    return choose_device(config, gpus=torch.cuda.device_count(), local=True)


def receipts(job: Job, units: Sequence[UnitRef], checkpoint: Path, *, say: Callable[[str], None]) -> Generator[Receipt]:
    """One receipt a unit, one unit after the other; the words are said as soon as they are known."""
    predictor, tokenizer = job.load_predictor(checkpoint), job.load_tokenizer(checkpoint)
    for unit in units:
        try:
            yield _receipt(job, unit, predictor, tokenizer, say)
        except VoxmillError as error:
            yield Receipt(unit.name, "fault", fault=str(error), fault_trace=traceback.format_exc())


def _receipt(job: Job, ref: UnitRef, predictor: Predictor, tokenizer: Tokenizer, say: Callable[[str], None]) -> Receipt:
    clock = StageClock("read")
    encoded = flow.read(load_unit(job.output, ref))
    timings = clock.timings()
    clock = StageClock("features")
    features = flow.featurise(encoded, job.settings)
    timings = timings.joined(clock.timings())
    clock = StageClock("model")
    outputs = job.infer(features, predictor)
    timings = timings.joined(clock.timings()).joined(Timings(seconds={"wait": 0.0}))
    clock = StageClock("commit")
    rows = job.rows(ref.name, outputs, tokenizer)
    for row in rows.select(["text", "error"]).to_pylist():
        say(f"{row['error']['stage']}: {row['error']['message']}" if row["error"] else row["text"] or "(no words)")
    return job.commit(ref.name, rows, outputs, lambda: timings.joined(clock.timings()))
