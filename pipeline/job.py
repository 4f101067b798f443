"""One task over one table, as every worker of a run knows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import flow
from pipeline.receipts import Receipt, Timings, receipt_of
from pipeline.table.assemble import assemble
from pipeline.table.commit import commit
from pipeline.tasks import TASKS, Task
from pipeline.versions import versions

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.models.predict import Predictor
    from pipeline.text import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is done to each unit, in plain values that travel."""

    run: str
    output: str
    task: str
    name: str
    """Folder of the task in the table."""
    model_name: str
    model_hash: str
    columns: str
    """Typed columns taken from the metadata, as `speaker:string,year:int32`."""
    device: Literal["cuda", "cpu"]
    dtype: Literal["float32", "bfloat16", "float16", "int8"]
    frame_budget: int | None
    settings: flow.Settings

    def load_predictor(self, checkpoint: Path) -> Predictor:
        """The model on this worker's device, ready to run."""
        import torch

        from pipeline import models
        from pipeline.models.predict import Predictor

        dtype = torch.float32 if self.dtype == "int8" else getattr(torch, self.dtype)
        model = models.load(checkpoint, dtype=dtype, device=self.device)
        if self.dtype == "int8":
            model = models.quantise(model)
        return Predictor(models.prepack(model), frame_budget=self.frame_budget)

    def load_tokenizer(self, checkpoint: Path) -> Tokenizer:
        """The checkpoint's vocabulary."""
        from pipeline.text import Tokenizer

        return Tokenizer.load(checkpoint)

    def infer(self, features: flow.UnitFeatures, predictor: Predictor) -> flow.UnitOutputs:
        """Run the model over a unit."""
        return flow.infer(features, predictor, self._task, self.settings)

    def rows(self, unit: str, outputs: flow.UnitOutputs, tokenizer: Tokenizer) -> pa.Table:
        """The rows of a unit, one a recording, with the schema of the task."""
        columns, errors = flow.rows(outputs, self._task, tokenizer)
        return assemble(
            unit,
            outputs.recordings,
            outputs.facts,
            errors,
            columns,
            task_fields=self._task.COLUMNS,
            extra=self.columns,
            model=(self.model_name, self.model_hash),
        )

    def commit(self, unit: str, rows: pa.Table, outputs: flow.UnitOutputs, timings: Callable[[], Timings]) -> Receipt:
        """Put the file of a unit, and tell what became of it."""
        footer = {"run": self.run, "device": self.device, "dtype": self.dtype, **versions()}
        footer["timings"] = json.dumps(asdict(timings()))
        ids = [recording.id for recording in outputs.recordings]
        outcome = commit(self.output, self.name, unit, rows, footer, ids=ids)
        return receipt_of(unit, rows, outputs, won=outcome == "won", timings=timings())

    @property
    def _task(self) -> Task:
        return TASKS[self.task]
