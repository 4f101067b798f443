"""Tables of every task, with rows written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.corpus import Recording
from pipeline.plan import load_unit, units
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from
from pipeline.table import TaskRecord, declare
from pipeline.table.commit import commit
from pipeline.table.schema import planned_columns, schema

LABEL_SCORE = pa.struct([pa.field("label", pa.string()), pa.field("score", pa.float32())])
FRAME = pa.struct([("start", pa.float64()), ("end", pa.float64()), ("label", pa.string()), ("score", pa.float32())])
VECTOR = pa.list_(pa.float32(), 3)
SEGMENT = pa.struct([("start", pa.float64()), ("end", pa.float64()), ("embedding", VECTOR), ("speech", pa.float64())])
WINDOW = pa.struct([("start", pa.float64()), ("end", pa.float64()), ("scores", pa.list_(LABEL_SCORE))])
HASH = "2f9c" + "0" * 60
COLUMNS: Mapping[str, tuple[pa.Field, ...]] = {
    "transcribe": (pa.field("text", pa.string()),),
    "classify": (
        pa.field("label", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("scores", pa.list_(LABEL_SCORE)),
        pa.field("windows", pa.list_(WINDOW)),
    ),
    "frames": (pa.field("frames", pa.list_(FRAME)),),
    "embed": (pa.field("embedding", VECTOR), pa.field("segments", pa.list_(SEGMENT))),
}


@dataclass(frozen=True)
class Row:
    """One recording: what the task wrote, and what came along."""

    name: str
    values: Mapping[str, Any]
    reference: str | None = None
    metadata: Mapping[str, Any] | None = None
    seconds: float = 3.0
    error: bool = False
    recording: str | None = None
    start: float = 0.0
    span: int = 0
    spans: int = 1


def _recording(row: Row) -> Recording:
    return Recording(
        f"c/{row.name}", f"file:///c/{row.name}", row.name.partition(".")[0], "1-1", f"c/{row.recording or row.name}",
        "wav", row.seconds, "header", 9, start=row.start, span=row.span, spans=row.spans, reference=row.reference,
        metadata=None if row.metadata is None else json.dumps(row.metadata),
    )  # fmt: skip


def build(output: str, task: str, rows: Sequence[Row], *, name: str | None = None, left_pending: int = 0) -> str:
    """Plan and commit rows; units of two recordings."""
    by_id = {f"c/{row.name}": row for row in rows}
    groups = [(_recording(row),) for row in rows]
    bounds = Bounds(2 * max(row.seconds for row in rows))
    extend_from(lambda known: groups, output, scope=Scope("c", ("file:///c",)), bounds=bounds)
    columns = schema(COLUMNS[task])
    record = TaskRecord(task=task, output_version=1, model_name="tiny", model_hash=HASH, schema=columns)
    folder = name or task
    declare(output, folder, record)
    found = units(output)
    for each in found[: len(found) - left_pending]:
        unit = load_unit(output, each)
        rows_of = [by_id[recording.id] for recording in unit.recordings]
        table = pa.table(_arrays(unit, rows_of, columns), schema=columns)
        assert commit(output, folder, unit.name, table, {}, ids=[r.id for r in unit.recordings])
    return output


def _arrays(unit: Any, rows: Sequence[Row], columns: pa.Schema) -> dict[str, pa.Array]:
    error = {"stage": "decode", "type": "decode", "message": "not audio"}
    arrays = planned_columns(unit.name, unit.recordings)
    for field in columns:
        if field.name not in arrays:
            known = {"duration": lambda row: row.seconds, "sample_rate": lambda row: 16_000, "channels": lambda row: 1}
            value = known.get(field.name, lambda row, column=field.name: row.values.get(column))
            values = [None if row.error else value(row) for row in rows]
            if field.name == "error":
                values = [error if row.error else None for row in rows]
            if field.name == "model":
                values = [{"name": "tiny", "hash": HASH}] * len(rows)
            arrays[field.name] = pa.array(values, type=field.type)
    return {each: arrays[each] for each in columns.names}


Build = Callable[..., str]


@pytest.fixture
def table(tmp_path: Path) -> Build:
    """Makes a table: `table(task, rows)` gives its folder."""

    def make(task: str, rows: Sequence[Row], *, output: str | None = None, **options: Any) -> str:
        if output is None:
            (tmp_path / "out").mkdir(exist_ok=True)
        return build(output or str(tmp_path / "out"), task, rows, **options)

    return make


@pytest.fixture(scope="session")
def row() -> type[Row]:
    """One recording of such a table."""
    return Row


@pytest.fixture
def words(table: Build) -> str:
    """A table of transcripts: one right, one wrong, one that failed, one without a reference."""
    return table(
        "transcribe",
        [
            Row("a.wav", {"text": "one two"}, "one two", seconds=2.0),
            Row("b.wav", {"text": "one four"}, "one three four", seconds=6.0),
            Row("c.wav", {}, "five", error=True),
            Row("d.wav", {"text": "six"}),
        ],
    )


X, Y, Z = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.8, 0.6, 0.0]
"""Z is like X by 0.8 and like Y by 0.6."""


def _voice(vector: list[float] | None, *segments: list[float] | None) -> dict[str, Any]:
    found = [{"start": 0.0, "end": 2.0, "embedding": each, "speech": 1.9} for each in segments]
    return {"embedding": vector, "segments": found}


@pytest.fixture
def voices(table: Build) -> str:
    """A table of embeddings: two of ann, one of bob, one too short, one that failed, one of nobody known."""
    rows = [
        Row("a1.wav", _voice(X, X, Z), metadata={"speaker": "ann"}),
        Row("a2.wav", _voice(Z, X, None), metadata={"speaker": "ann"}),
        Row("b1.wav", _voice(Y, Y), metadata={"speaker": "bob"}),
        Row("b2.wav", _voice(None), metadata={"speaker": "bob"}),
        Row("e.wav", {}, metadata={"speaker": "eve"}, error=True),
        Row("n.wav", _voice(Y)),
    ]
    return table("embed", rows)
