"""Small plans and committed units to look after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.corpus import Recording, Unit
from pipeline.plan import UnitRef, load_unit, units
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from
from pipeline.table import TaskRecord, declare, mark_listed, pending
from pipeline.table.commit import commit
from pipeline.table.schema import ERROR, MODEL, planned_columns, schema

WORD = pa.struct(
    [
        pa.field("word", pa.string()),
        pa.field("start", pa.float64()),
        pa.field("end", pa.float64()),
        pa.field("confidence", pa.float32()),
    ]
)
TASK = (
    pa.field("text", pa.string()),
    pa.field("confidence", pa.float32()),
    pa.field("words", pa.list_(WORD)),
)
SCHEMA = schema(TASK)
MODEL_HASH = "2f9c" + "0" * 60


def mark_success(output: str, tasks: Sequence[str]) -> bool:
    """Claim that tasks are complete, as a run does that has just listed what is committed."""
    planned = units(output)
    if any(pending(output, task, planned) for task in tasks):
        return False
    return mark_listed(output, tasks, generation=max((unit.generation for unit in planned), default=0))


def rows_of(unit: Unit, *, broken: Sequence[str] = (), text: str = "one two") -> pa.Table:
    """Rows as a run makes them; `broken` holds the ids that end with an error."""
    count = len(unit.recordings)
    fine = [each.id not in broken for each in unit.recordings]
    words = [{"word": "one", "start": 0.0, "end": 0.4, "confidence": 0.9},
             {"word": "two", "start": 0.5, "end": 1.0, "confidence": 0.8}]  # fmt: skip
    values: dict[str, list[Any]] = {
        "duration": [each.seconds if ok else None for each, ok in zip(unit.recordings, fine, strict=True)],
        "sample_rate": [16_000 if ok else None for ok in fine],
        "channels": [1 if ok else None for ok in fine],
        "text": [text if ok else None for ok in fine],
        "confidence": [0.85 if ok else None for ok in fine],
        "words": [words if ok else None for ok in fine],
        "warnings": [[]] * count,
        "model": [{"name": "digits", "hash": MODEL_HASH}] * count,
        "error": [None if ok else {"stage": "decode", "type": "decode", "message": "not audio"} for ok in fine],
    }
    assert MODEL.num_fields == 2
    assert ERROR.num_fields == 3
    columns = planned_columns(unit.name, unit.recordings)
    columns |= {name: pa.array(each, type=SCHEMA.field(name).type) for name, each in values.items()}
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def mislead(file: Path, text: bytes) -> None:
    """Flip a bit of the least `text` that the footer of a file tells of a column: it is no longer the least then."""
    data = bytearray(file.read_bytes())
    at = data.index(text, len(data) - 8 - int.from_bytes(data[-8:-4], "little"))
    data[at + len(text) - 1] ^= 2
    file.write_bytes(data)


@dataclass
class Made:
    """One output, to be planned and committed step by step."""

    output: str
    task: str = "transcribe"
    record: TaskRecord = field(
        default_factory=lambda: TaskRecord(
            task="transcribe",
            output_version=1,
            model_name="digits-ctc",
            model_hash=MODEL_HASH,
            parameters={"window": "14s", "dtype": "auto"},
            schema=SCHEMA,
        )
    )

    def plan(self, *names: str, version: str = "1-1", seconds: float = 40.0) -> None:
        """Plan recordings of corpus `c`; two share a unit where they last 30 s or less."""
        listed = [
            (Recording(f"c/{name}", f"file:///c/{name}", name, version, f"c/{name}", "wav", seconds, "header", 9),)
            for name in names
        ]
        extend_from(lambda known: listed, self.output, scope=Scope("c", ("file:///c",)), bounds=Bounds(60.0))

    @property
    def units(self) -> list[UnitRef]:
        return units(self.output)

    def unit(self, number: int) -> Unit:
        return load_unit(self.output, self.units[number])

    def declare(self) -> None:
        declare(self.output, self.task, self.record)

    def commit(self, *numbers: int, **rows: Any) -> list[str]:
        """Commit units by their place in the plan, all of them where none is named; gives `won` or `taken` of each."""
        self.declare()
        found = [self.unit(number) for number in numbers or range(len(self.units))]
        return ["won" if self.put(unit, rows_of(unit, **rows)) else "taken" for unit in found]

    def put(self, unit: Unit, table: pa.Table, **footer: str) -> int:
        ids = [each.id for each in unit.recordings]
        return commit(self.output, self.task, unit.name, table, {"device": "cpu", **footer}, ids=ids)

    def file(self, number: int) -> Path:
        return Path(self.output, self.task, f"{self.units[number].name}.parquet")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """An output with nothing in it, as the probe at the start of a run leaves it."""
    (tmp_path / "out").mkdir()
    return Made(str(tmp_path / "out"))


@pytest.fixture(scope="session")
def rows() -> Any:
    """Makes the rows of a unit."""
    return rows_of


@pytest.fixture(scope="session")
def task_schema() -> pa.Schema:
    """Schema of those rows."""
    return SCHEMA
