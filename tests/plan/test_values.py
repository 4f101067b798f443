"""A generation with right types and checksums whose rows no planner writes is told as damaged, whoever reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.plan import units
from pipeline.plan.columns import PLAN_SCHEMA
from pipeline.plan.generations import open_generation
from pipeline.plan.known import read_known
from pipeline.plan.values import contradiction

NAME = "0" * 32
NULLS = [(name, None) for name in PLAN_SCHEMA.names
         if name not in ("member", "end", "reference", "metadata", "supersedes")]  # fmt: skip
VALUES = [
    ("seconds", float("nan")), ("seconds", -1.0), ("seconds", float("inf")), ("seconds", 1e300), ("size", -5),
    ("payload", -(2**62)), ("offset", -1), ("start", -1.0), ("end", float("nan")), ("span", -1), ("spans", -3),
    ("spans", 0), ("sample_rate", -1), ("unit", "../../../evil"), ("unit", ""), ("unit", "A" * 32), ("unit", "é" * 16),
    ("unit", NAME + "\n"), ("supersedes", [None]), ("supersedes", [{"unit": NAME, "id": None}]),
    ("supersedes", [{"unit": "../x", "id": "c/a"}]),
]  # fmt: skip


def put(output: str, name: str, value: Any) -> None:
    """Write the first generation anew, with a value of its second row."""
    file = Path(output, "_plan/000001.parquet")
    rows = pq.read_table(file)
    values = rows.column(name).to_pylist()
    values[1] = value
    field = rows.schema.field(name)
    changed = rows.set_column(rows.column_names.index(name), field, pa.array(values, field.type))
    pq.write_table(changed, file, compression="zstd", write_page_checksum=True)


@pytest.mark.parametrize(("name", "value"), NULLS + VALUES)
def test_a_value_that_no_planner_writes_is_damage(name: str, value: Any, plan: Any, make: Any) -> None:
    plan([make(f"{each}.wav") for each in "abc"])
    put(plan.output, name, value)
    with pytest.raises(UserError, match=r"000001\.parquet: the plan file is damaged \((no|units|rows|\w+ out)"):
        open_generation(plan.output, 1).row_group(0)
    if name in ("id", "unit", "seconds", "spans", "payload", "supersedes"):
        with pytest.raises(UserError, match=r"000001\.parquet: the plan file is damaged"):
            read_known(plan.output)


def test_what_planners_write_is_none(plan: Any, make: Any) -> None:
    long = make("long.wav", seconds=20_000.0, size=640_000_000)
    nothing = make("nothing.wav", seconds=0.0, size=0)
    plan([long, nothing, *(make(f"{each}.wav", size=2**62, end=3.0) for each in "ab")], unit_bytes=2**63)
    plan([make("nothing.wav", version="11-1")])
    assert [contradiction(open_generation(plan.output, number).row_group(0)) for number in (1, 2)] == ["", ""]
    assert contradiction(PLAN_SCHEMA.empty_table()) == ""
    assert sum(unit.size for unit in units(plan.output)) > 2**63
