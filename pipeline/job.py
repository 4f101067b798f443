"""One task over one table, as every worker of a run knows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline import flow
from pipeline.receipts import Receipt, Timings, receipt_of
from pipeline.table import commit

if TYPE_CHECKING:
    from pipeline.models import Model
    from pipeline.text import Tokenizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is done to each unit, in plain values that travel."""

    run: str
    output: str
    name: str
    """Folder of the task in the table."""
    model_name: str
    model_hash: str
    columns: str
    """Typed columns taken from the metadata, as `speaker:string,year:int32`."""
    device: Literal["cuda", "cpu"]
    dtype: Literal["float32", "bfloat16", "float16"]
    settings: flow.Settings

    def load_model(self, checkpoint: Path) -> Model:
        """The model on this worker's device."""
        import torch

        from pipeline import models

        return models.load(checkpoint, dtype=getattr(torch, self.dtype), device=self.device)

    def load_tokenizer(self, checkpoint: Path) -> Tokenizer:
        """The checkpoint's vocabulary."""
        from pipeline.text import Tokenizer

        return Tokenizer.load(checkpoint)

    def commit(
        self, unit: str, outputs: flow.Outputs, tokenizer: Tokenizer, timings: Callable[[], Timings]
    ) -> Receipt:
        """Turn a unit's outputs into rows, put its file, and tell what became of it."""
        table = flow.rows(unit, outputs, tokenizer, model=(self.model_name, self.model_hash), columns=self.columns)
        footer = {"run": self.run, "device": self.device, "dtype": self.dtype, **flow.versions()}
        footer["timings"] = str(dataclasses.asdict(timings()))
        won = commit.commit(self.output, self.name, unit, table, footer)
        return receipt_of(unit, table, outputs, won=won, timings=timings())
