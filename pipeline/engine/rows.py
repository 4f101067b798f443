"""One unit as one Arrow row, whatever it holds: a name, a JSON text, one buffer."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.corpus import Recording
from pipeline.errors import ErrorRow
from pipeline.flow import Facts, Featurised, Outputs
from pipeline.receipts import Receipt, Timings
from pipeline.sources import Encoded

Row = pa.Table
"""Exactly one row: `unit` string, `meta` large_string (JSON), `payload` large_binary."""


def make(unit: str, meta: dict[str, Any], payload: Any = b"") -> Row:
    """A row around a buffer, without copying it."""
    buffer = pa.py_buffer(payload)
    offsets = pa.py_buffer(np.array([0, buffer.size], np.int64))
    column = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, buffer])
    text = pa.array([json.dumps(meta)], pa.large_string())
    return pa.table({"unit": pa.array([unit], pa.string()), "meta": text, "payload": column})


def open_row(row: Row) -> tuple[str, dict[str, Any], memoryview]:
    """Name, meta and buffer of a row, the buffer without copying it."""
    payload = row.column("payload").combine_chunks()
    payload = payload.chunk(0) if isinstance(payload, pa.ChunkedArray) else payload
    value = payload[0].as_buffer()
    return row.column("unit")[0].as_py(), json.loads(row.column("meta")[0].as_py()), memoryview(value)


def from_fault(unit: str, fault: str, trace: str) -> Row:
    """A row that says why its unit stays pending; later stages pass it on."""
    return make(unit, {"fault": fault, "trace": trace})


def from_encoded(unit: str, encoded: Encoded, timings: Timings) -> Row:
    """Row of a unit that has been read."""
    meta = _common(encoded.recordings, encoded.errors, timings) | {"slices": encoded.slices}
    return make(unit, meta, encoded.payload)


def to_encoded(meta: dict[str, Any], payload: memoryview) -> Encoded:
    """Inverse of `from_encoded`."""
    slices = tuple(None if each is None else (each[0], each[1]) for each in meta["slices"])
    return Encoded(_recordings(meta), payload, slices, _errors(meta))


def from_featurised(unit: str, featurised: Featurised, timings: Timings) -> Row:
    """Row of a unit's packed frames."""
    meta = _common(featurised.recordings, featurised.errors, timings)
    meta |= {"facts": _facts_out(featurised.facts), "dtype": str(featurised.frames.dtype)}
    frames = np.ascontiguousarray(featurised.frames)
    return make(unit, meta | {"width": frames.shape[1]}, frames.reshape(-1).view(np.uint8))


def to_featurised(meta: dict[str, Any], payload: memoryview) -> Featurised:
    """Inverse of `from_featurised`."""
    frames = np.frombuffer(payload, dtype=meta["dtype"]).reshape(-1, meta["width"])
    return Featurised(_recordings(meta), frames, _facts_in(meta["facts"]), _errors(meta))


def from_outputs(unit: str, outputs: Outputs, timings: Timings) -> Row:
    """Row of a unit's model outputs, as one Arrow IPC stream."""
    meta = _common(outputs.recordings, outputs.errors, timings)
    meta |= {"facts": _facts_out(outputs.facts), "waste": outputs.waste}
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, outputs.frames.schema) as writer:
        writer.write_batch(outputs.frames)
    return make(unit, meta, sink.getvalue())


def to_outputs(meta: dict[str, Any], payload: memoryview) -> Outputs:
    """Inverse of `from_outputs`."""
    frames = pa.ipc.open_stream(pa.py_buffer(payload)).read_next_batch()
    return Outputs(_recordings(meta), _facts_in(meta["facts"]), _errors(meta), frames, meta["waste"])


def from_receipt(receipt: Receipt) -> Row:
    """Row that goes back to the driver."""
    return make(receipt.unit, dataclasses.asdict(receipt))


def to_receipt(row: Row) -> Receipt:
    """Inverse of `from_receipt`."""
    _, meta, _ = open_row(row)
    return Receipt(**meta | {"timings": Timings(**meta["timings"])})


def timings_of(meta: dict[str, Any]) -> Timings:
    """What the stages before wrote down."""
    return Timings(**meta["timings"])


def _common(recordings: Sequence[Recording], errors: dict[int, ErrorRow], timings: Timings) -> dict[str, Any]:
    return {
        "recordings": [dataclasses.astuple(each) for each in recordings],
        "errors": {str(index): dataclasses.astuple(error) for index, error in errors.items()},
        "timings": dataclasses.asdict(timings),
    }


def _recordings(meta: dict[str, Any]) -> tuple[Recording, ...]:
    return tuple(Recording(*values) for values in meta["recordings"])


def _errors(meta: dict[str, Any]) -> dict[int, ErrorRow]:
    return {int(index): ErrorRow(*values) for index, values in meta["errors"].items()}


def _facts_out(facts: Sequence[Facts | None]) -> list[tuple[Any, ...] | None]:
    return [None if each is None else dataclasses.astuple(each) for each in facts]


def _facts_in(facts: Sequence[Sequence[Any] | None]) -> tuple[Facts | None, ...]:
    return tuple(None if each is None else Facts(*each[:-1], warnings=tuple(each[-1])) for each in facts)
