"""The rows of one unit: what the plan knows, what decoding found, what the task says, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol

import pyarrow as pa

from pipeline.corpus import Recording, Seconds
from pipeline.errors import ErrorRow
from pipeline.table import schema
from pipeline.table.columns import extra_columns, parse_columns


class Measured(Protocol):
    """What decoding found out about one recording."""

    @property
    def start(self) -> Seconds: ...  # noqa: D102
    @property
    def duration(self) -> Seconds: ...  # noqa: D102
    @property
    def sample_rate(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def warnings(self) -> tuple[str, ...]: ...  # noqa: D102


def assemble(
    unit: str,
    recordings: Sequence[Recording],
    measured: Sequence[Measured | None],
    errors: Mapping[int, ErrorRow],
    task_columns: Mapping[str, pa.Array],
    *,
    task_fields: Sequence[pa.Field],
    extra: str,
    model: tuple[str, str],
    warnings: Mapping[int, tuple[str, ...]] | None = None,
) -> pa.Table:
    """One row a recording, in the plan's order, with the schema of the task.

    Args:
        unit: its name.
        recordings: of the unit.
        measured: one a recording; None where decoding failed.
        errors: number of a recording -> what went wrong with it.
        task_columns: arrays of the task's columns, null where there is an error.
        task_fields: their fields.
        extra: typed columns taken from the metadata, as `speaker:string,year:int32`.
        model: name and hash of the checkpoint; the schema's metadata has them too.
        warnings: of the task, by number of a recording.
    """
    told = warnings or {}
    asked = parse_columns(extra)
    typed, complaints = extra_columns(asked, [each.metadata for each in recordings])
    columns = {
        **schema.planned_columns(unit, recordings),
        **_measured(recordings, measured),
        **typed,
        **task_columns,
    }
    columns["model"] = pa.array([{"name": model[0], "hash": model[1]}] * len(recordings), schema.MODEL)
    heard = [each.warnings if each is not None else () for each in measured]
    odd = [[*own, *told.get(i, ()), *more] for i, (own, more) in enumerate(zip(heard, complaints, strict=True))]
    columns["warnings"] = pa.array(odd, pa.list_(pa.string()))
    failed = [asdict(errors[index]) if index in errors else None for index in range(len(recordings))]
    columns["error"] = pa.array(failed, schema.ERROR)
    form = schema.schema(task_fields, asked, model_hash=model[1])
    return pa.table({field.name: columns[field.name] for field in form}, schema=form)


def _measured(recordings: Sequence[Recording], measured: Sequence[Measured | None]) -> dict[str, pa.Array]:
    """Planned values stand in the row until decoding knows better; what only decoding knows is null without it."""
    found = {
        field.name: pa.array([None if each is None else getattr(each, field.name) for each in measured], field.type)
        for field in schema.MEASURED
    }
    starts = [
        planned.start if facts is None else facts.start for planned, facts in zip(recordings, measured, strict=True)
    ]
    return found | {"start": pa.array(starts, pa.float64())}
