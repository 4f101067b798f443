"""One unit as one Arrow row, whatever it holds: a name, a JSON text, one buffer."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.audio import Facts
from pipeline.corpus import Recording
from pipeline.errors import ErrorRow
from pipeline.fed import Fed
from pipeline.flow import Prepared, UnitFeatures, UnitOutputs, UnitSamples
from pipeline.job import Work
from pipeline.receipts import Receipt, Timings
from pipeline.sources import Encoded
from pipeline.stitching import Kept

Row: TypeAlias = pa.Table
"""Exactly one row: `unit` string, `meta` large_string (JSON), `payload` large_binary."""


_FAULT = "stays_pending"


def make(unit: str, meta: dict[str, Any], payload: Any = b"") -> Row:
    """A row around a buffer, without copying it."""
    buffer = pa.py_buffer(payload)
    offsets = pa.py_buffer(np.array([0, buffer.size], np.int64))
    column = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, offsets, buffer])
    text = pa.array([json.dumps(meta)], pa.large_string())
    return pa.table({"unit": pa.array([unit], pa.string()), "meta": text, "payload": column})


def open_row(row: Row) -> tuple[str, dict[str, Any], memoryview]:
    """Name, meta and buffer of a row, the buffer without copying it."""
    # `combine_chunks` copies, and so does taking the scalar: twice the frames of a 4-hour recording are 0.9 GB.
    payload = next(chunk for chunk in row.column("payload").chunks if len(chunk))
    _, offsets, data = payload.buffers()
    start, stop = np.frombuffer(offsets, np.int64)[payload.offset : payload.offset + 2].tolist()
    buffer = memoryview(data)[start:stop] if stop > start else memoryview(b"")
    return row.column("unit")[0].as_py(), json.loads(row.column("meta")[0].as_py()), buffer


def from_fault(unit: str, fault: str, trace: str) -> Row:
    """A row that says why its unit stays pending; later stages pass it on."""
    return make(unit, {_FAULT: fault, "trace": trace})


def fault_of(unit: str, meta: dict[str, Any]) -> Receipt | None:
    """Receipt of a row that `from_fault` made, None of any other."""
    return Receipt(unit, "fault", fault=meta[_FAULT], fault_trace=meta["trace"]) if _FAULT in meta else None


def from_encoded(work: Work, encoded: Encoded, timings: Timings) -> Row:
    """Row of a unit that has been read, and of the tasks that it lacks."""
    meta = _common(encoded.recordings, encoded.errors, timings) | {"slices": encoded.slices}
    meta["tasks"] = work.tasks
    return make(work.name, meta, encoded.payload)


def to_encoded(meta: dict[str, Any], payload: memoryview) -> Encoded:
    """Inverse of `from_encoded`."""
    slices = tuple(None if each is None else (each[0], each[1]) for each in meta["slices"])
    return Encoded(_recordings(meta), payload, slices, _errors(meta))


def from_prepared(unit: str, prepared: Prepared, tasks: Sequence[str], timings: Timings) -> Row:
    """Row of what CPUs made of a unit: its frames, or its samples."""
    if isinstance(prepared, UnitFeatures):
        return from_features(unit, prepared, tasks, timings)
    meta = _common(prepared.recordings, prepared.errors, timings) | {
        "facts": _from_facts(prepared.facts),
        "tasks": tasks,
    }
    meta |= {"samples": str(prepared.samples.dtype), "counts": prepared.counts}
    return make(unit, meta, np.ascontiguousarray(prepared.samples).view(np.uint8))


def to_prepared(meta: dict[str, Any], payload: memoryview) -> Prepared:
    """Inverse of `from_prepared`."""
    if "samples" not in meta:
        return to_features(meta, payload)
    counts = tuple(meta["counts"])
    samples = np.frombuffer(payload, dtype=meta["samples"], count=sum(counts))
    return UnitSamples(_recordings(meta), samples, counts, _facts(meta), _errors(meta))


def from_features(unit: str, features: UnitFeatures, tasks: Sequence[str], timings: Timings) -> Row:
    """Row of a unit's packed frames."""
    meta = _common(features.recordings, features.errors, timings) | _layout(features.lengths, features.facts)
    frames = np.ascontiguousarray(features.frames)
    meta |= {"dtype": str(frames.dtype), "width": frames.shape[1], "frames": len(frames), "tasks": tasks}
    return make(unit, meta, frames.reshape(-1).view(np.uint8))


def to_features(meta: dict[str, Any], payload: memoryview) -> UnitFeatures:
    """Inverse of `from_features`, and of the first half of `from_both`."""
    values = meta["frames"] * meta["width"]
    frames = np.frombuffer(payload, dtype=meta["dtype"], count=values).reshape(-1, meta["width"])
    return UnitFeatures(_recordings(meta), frames, tuple(meta["lengths"]), _facts(meta), _errors(meta))


def from_outputs(unit: str, outputs: UnitOutputs, tasks: Sequence[str], timings: Timings) -> Row:
    """Row of a unit's model outputs: the arrays of each task as one Arrow tensor after the other."""
    sink = pa.BufferOutputStream()
    return make(unit, _outputs_meta(outputs, tasks, timings) | {"outputs_at": 0}, _written(outputs, sink))


def from_both(unit: str, features: UnitFeatures, outputs: UnitOutputs, tasks: Sequence[str], timings: Timings) -> Row:
    """Row of a unit's packed frames and, behind them, of what the models so far made of them."""
    frames = np.ascontiguousarray(features.frames)
    sink = pa.BufferOutputStream()
    sink.write(frames.reshape(-1).view(np.uint8))
    sink.write(bytes(-frames.nbytes % _ALIGNED))
    meta = _outputs_meta(outputs, tasks, timings) | {"dtype": str(frames.dtype), "width": frames.shape[1]}
    return make(unit, meta | {"frames": len(frames), "outputs_at": sink.tell()}, _written(outputs, sink))


def to_outputs(meta: dict[str, Any], payload: memoryview) -> UnitOutputs:
    """Inverse of `from_outputs`, and of the second half of `from_both`."""
    source = pa.BufferReader(pa.py_buffer(payload))
    source.seek(meta["outputs_at"])
    kept = {}
    for name, counts, speech, num_columns in meta["kept"]:
        pieces, *columns = (pa.ipc.read_tensor(source).to_numpy() for _ in range(1 + num_columns))
        kept[name] = Kept(tuple(counts), tuple(columns), pieces, tuple(speech))
    return UnitOutputs(
        _recordings(meta), tuple(meta["lengths"]), _facts(meta), _errors(meta), kept, meta["faults"], Fed(*meta["fed"])
    )


_ALIGNED = 64
"""Bytes: Arrow's tensors begin at a multiple of this."""


def _outputs_meta(outputs: UnitOutputs, tasks: Sequence[str], timings: Timings) -> dict[str, Any]:
    meta = _common(outputs.recordings, outputs.errors, timings) | _layout(outputs.lengths, outputs.facts)
    meta["kept"] = [(name, each.counts, each.speech, len(each.columns)) for name, each in outputs.kept.items()]
    return meta | {"tasks": tasks, "faults": outputs.faults, "fed": outputs.fed}


def _written(outputs: UnitOutputs, sink: pa.BufferOutputStream) -> pa.Buffer:
    for each in outputs.kept.values():
        for array in (each.pieces, *each.columns):
            pa.ipc.write_tensor(pa.Tensor.from_numpy(np.ascontiguousarray(array)), sink)
    return sink.getvalue()


def tasks_of(meta: dict[str, Any]) -> tuple[str, ...]:
    """Names of the tasks that the unit lacks."""
    return tuple(meta["tasks"])


def from_receipts(unit: str, receipts: Sequence[Receipt]) -> Row:
    """Row that goes back to the driver."""
    return make(unit, {"receipts": [dataclasses.asdict(receipt) for receipt in receipts]})


def to_receipts(row: Row) -> list[Receipt]:
    """Inverse of `from_receipts`."""
    _, meta, _ = open_row(row)
    return [
        Receipt(**each | {"timings": Timings(**each["timings"]), "fed": Fed(*each["fed"])}) for each in meta["receipts"]
    ]


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


def _layout(lengths: Sequence[int], facts: Sequence[Facts | None]) -> dict[str, Any]:
    return {
        "lengths": lengths,
        "facts": _from_facts(facts),
    }


def _from_facts(facts: Sequence[Facts | None]) -> list[dict[str, Any] | None]:
    return [None if each is None else dataclasses.asdict(each) for each in facts]


def _facts(meta: dict[str, Any]) -> tuple[Facts | None, ...]:
    return tuple(
        None if each is None else Facts(**each | {"warnings": tuple(each["warnings"])}) for each in meta["facts"]
    )
