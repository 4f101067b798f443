"""The real stages, which besides note how many threads the pools of their process have."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import threadpoolctl

from pipeline.engine import stages
from pipeline.engine.rows import Row
from pipeline.isolation import Limits


class Job:
    """A job without model and table: reading fails, which is a fault that every stage passes on."""

    run = "counting"
    device = "cpu"
    limits = Limits(60.0, 10**9)

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @property
    def output(self) -> str:
        raise ZeroDivisionError("made up")

    def load_predictors(self, *_: Any) -> list[Any]:
        return []

    def load_tasks(self, _: Any) -> dict[str, Any]:
        return {}

    def note(self, stage: str) -> None:
        import torch  # as late as the stages do

        blas = max(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
        threads = [int(os.environ.get("OMP_NUM_THREADS", 0)), torch.get_num_threads(), pa.cpu_count(), blas]
        Path(self.folder, f"{stage}-{os.getpid()}").write_text(json.dumps(threads))


class Read(stages.Read):
    """Reads."""

    def __call__(self, ref: Any) -> Row:
        row = super().__call__(ref)
        self.job.note("read")
        return row


class _Counting:
    name = ""

    def __call__(self, row: Row) -> Row:
        self._job.note(self.name)
        return super().__call__(row)


class Features(_Counting, stages.Features):
    name = "features"


class Inference(_Counting, stages.Inference):
    name = "model"


class Commit(_Counting, stages.Commit):
    name = "commit"


class Fragile(stages.Features):
    """Dies of a unit that holds a recording called deadly, as a decoder would that crashes."""

    def __call__(self, row: Row) -> Row:
        if "deadly" in row.column("meta")[0].as_py():
            os._exit(139)
        return super().__call__(row)
