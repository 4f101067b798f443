"""Stages that do nothing but note what they see, and die, fail or stand still where the test's notebook says so.

They import neither torch nor the pipeline, so that workers which die come back quickly.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa


class Notebook(str):
    """A folder of driver and workers: `kill-STAGE-UNIT` and the like are orders, `log` is what happened.

    It takes the place of the job, for light stages need nothing else.
    """

    run = "light"

    def order(self, name: str) -> None:
        Path(self, name).touch()

    def revoke_all(self) -> None:
        for order in Path(self).glob("*-*"):
            order.unlink()

    def says(self, name: str) -> bool:
        return Path(self, name).exists()

    def note(self, stage: str, unit: str, rows: int) -> None:
        entry = {"stage": stage, "unit": unit, "rows": rows, "pid": os.getpid(), "at": time.time()}
        # One short write in append mode is never torn between processes.
        with open(Path(self, "log"), "a") as log:
            log.write(json.dumps(entry) + "\n")

    def entries(self, stage: str) -> list[dict[str, Any]]:
        log = Path(self, "log")
        entries = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
        return [entry for entry in entries if entry["stage"] == stage]

    def obey(self, stage: str, unit: str) -> None:
        if self.says(f"kill-{stage}-{unit}"):
            # Meanwhile the next unit waits in the queue of this worker.
            time.sleep(0.2)
            os._exit(9)
        while self.says(f"sleep-{stage}-{unit}"):
            time.sleep(0.1)


class Stage:
    """Gives its row on."""

    name = ""

    def __init__(self, notebook: Notebook, *_: Any) -> None:
        if notebook.says(f"refuse-{self.name}"):
            raise ValueError("no such device")
        self._notebook = notebook

    def __call__(self, row: pa.Table) -> pa.Table:
        unit = row.column("unit")[0].as_py()
        self._notebook.note(self.name, unit, row.num_rows)
        self._notebook.obey(self.name, unit)
        return row


class Features(Stage):
    name = "features"


class Inference(Stage):
    name = "model"


class Commit(Stage):
    """Gives receipts, in the form that `pipeline.engine.rows` reads."""

    name = "commit"

    def __call__(self, row: pa.Table) -> pa.Table:
        unit = super().__call__(row).column("unit")[0].as_py()
        timings = {"seconds": {}, "peak_bytes": {}, "workers": {}}
        receipt = {"unit": unit, "outcome": "committed", "rows": 1, "timings": timings, "fed": [0, 0, 0]}
        return _row(unit, json.dumps({"receipts": [receipt]}), b"")


class Unit(NamedTuple):
    """What the engine knows of a unit."""

    name: str


class Read:
    """Makes the row of a unit; a read lasts 20 ms."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def __call__(self, ref: Unit) -> pa.Table:
        unit = ref.name
        self._notebook.note("read", unit, 1)
        self._notebook.obey("read", unit)
        time.sleep(0.02)
        self._notebook.note("read done", unit, 1)
        return _row(unit, "{}", bytes(1000))


def _row(unit: str, meta: str, payload: bytes) -> pa.Table:
    return pa.table(
        {
            "unit": pa.array([unit], pa.string()),
            "meta": pa.array([meta], pa.large_string()),
            "payload": pa.array([payload], pa.large_binary()),
        }
    )
