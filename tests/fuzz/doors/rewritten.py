"""Parquet with right checksums and wrong rows or footers, of kinds that must be noticed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_TYPES = (pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.list_(pa.string()))
_NO_FOOTER = (b"", b"99", b"{}", b"[1]", b"\xff", b"[" * 200)
_TOLD = (b"", b"0", b"99", b"nothing", b"{}", b"[1]", b"\xff", b"[" * 200, b"null\n", b'["a", 5]')


def rewritten(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A file with a column gone, of another type or twice, rows moved, or a footer that says nothing sensible."""
    return _written(
        dice.choice((_without, _retyped, _twice, _moved, _told, _told, _unlike, _unlike))(dice, _read(dice, seeds))
    )


def footed(dice: Random, seeds: Sequence[bytes]) -> bytes:
    """A generation of the plan with a column or a value that no plan has, or a footer that says what none is of."""
    return _written(dice.choice((_retyped, _planned, _planned, _valued, _valued))(dice, _read(dice, seeds)))


def for_one_task(data: bytes) -> bytes:
    """A generation of the plan that one task alone has to do."""
    rows = pq.ParquetFile(pa.BufferReader(data)).read()
    return _written(rows.replace_schema_metadata({**rows.schema.metadata, b"voxmill.tasks": b'["transcribe"]'}))


def _read(dice: Random, seeds: Sequence[bytes]) -> pa.Table:
    return pq.ParquetFile(pa.BufferReader(dice.choice(seeds))).read()


def _written(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def _planned(dice: Random, rows: pa.Table) -> pa.Table:
    metadata: dict[bytes, bytes] = dict(rows.schema.metadata or {})
    name = dice.choice((b"voxmill.plan", b"voxmill.corpus", b"voxmill.sources", b"voxmill.tasks"))
    if name == b"voxmill.tasks":
        metadata[name] = dice.choice((*_NO_FOOTER, b"[]", b"null", b'["a", 5]'))
    elif dice.random() < 0.2:
        del metadata[name]
    else:
        metadata[name] = dice.choice(_NO_FOOTER)
    return rows.replace_schema_metadata(metadata)


def _valued(dice: Random, rows: pa.Table) -> pa.Table:
    """A value that is missing or beyond belief; a name of a unit that leads elsewhere."""
    name = dice.choice([name for name in rows.column_names if name not in ("member", "reference", "metadata")])
    at, kind = rows.column_names.index(name), rows.schema.field(name).type
    values: Sequence[Any] = (None,)
    if pa.types.is_floating(kind):
        values = (*((None,) if name != "end" else ()), float("nan"), float("inf"), -1.0, -1e-9, 1e300)
    elif pa.types.is_integer(kind):
        values = (None, -1, -5, -(2**31)) if kind == pa.int32() else (None, -1, -(2**62))
    elif name == "unit":
        values = (None, "", "../../../evil", "0" * 31, "A" * 32, "0" * 32 + "\n", "é" * 16)
    elif name == "supersedes":
        unit = rows.column("unit")[0].as_py()
        values = ([None], [{"unit": unit, "id": None}], [{"unit": None, "id": "c"}], [{"unit": "../e", "id": "c"}])
    column = rows.column(at).to_pylist()
    column[dice.randrange(len(column))] = dice.choice(values)
    return rows.set_column(at, rows.schema.field(at), pa.array(column, kind))


def _without(dice: Random, rows: pa.Table) -> pa.Table:
    return rows.drop_columns(
        [
            dice.choice(
                [name for name in ("id", "source", "version", "spans", "error", "text") if name in rows.column_names]
            )
        ]
    )


def _retyped(dice: Random, rows: pa.Table) -> pa.Table:
    at = dice.randrange(rows.num_columns)
    kind = dice.choice([each for each in _TYPES if each != rows.schema.field(at).type])
    return rows.set_column(at, pa.field(rows.column_names[at], kind), pa.nulls(rows.num_rows, kind))


def _twice(dice: Random, rows: pa.Table) -> pa.Table:
    at = dice.randrange(rows.num_columns)
    return rows.append_column(rows.schema.field(at), rows.column(at))


def _moved(dice: Random, rows: pa.Table) -> pa.Table:
    return rows.take([rows.num_rows - 1, *range(rows.num_rows - 1), 0][: dice.choice((1, rows.num_rows + 1))])


def _told(dice: Random, rows: pa.Table) -> pa.Table:
    metadata: dict[bytes, bytes] = dict(rows.schema.metadata or {})
    metadata[dice.choice(sorted(metadata))] = dice.choice(_TOLD)
    return rows.replace_schema_metadata(metadata)


def _unlike(dice: Random, rows: pa.Table) -> pa.Table:
    """Rows of a unit that contradict themselves; of a plan, without their names."""
    crossed = {"word": "a", "start": 2.0, "end": 1.0, "confidence": 0.5}
    late = {"word": "a", "start": 500.0, "end": 900.0, "confidence": 0.5}
    values: dict[str, Sequence[Any]] = {
        "text": (None,), "words": ([crossed, crossed], [late]), "id": ("x", ""), "unit": ("0" * 32,),
        "version": ("9-9",), "error": ({"stage": None, "type": None, "message": "m"},),
    }  # fmt: skip
    # Of words there is the most to tell.
    name = dice.choice([name for name in (*values, "words", "words") if name in rows.column_names])
    at = rows.column_names.index(name)
    column = rows.column(at).to_pylist()
    column[dice.randrange(len(column))] = dice.choice(values[name])
    return rows.set_column(at, rows.schema.field(at), pa.array(column, rows.schema.field(at).type))
