"""What the rows of a plan file must hold: checksums and types are right of a file that was written wrong, too."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus import Seconds
from pipeline.plan.columns import PLAN_SCHEMA
from pipeline.plan.ids import UNIT_NAME_DIGITS

_MAY_LACK = frozenset({"member", "end", "reference", "metadata", "supersedes"})
_LEAST = {
    "seconds": 0, "size": 0, "offset": 0, "sample_rate": 0, "start": 0, "end": 0, "span": 0, "spans": 1, "payload": 0,
}  # fmt: skip
_LONGEST: Seconds = 1e30
"""More than is ever planned, and the sum of millions of them is finite."""
_DIGITS = "0123456789abcdef"


def contradiction(rows: pa.Table) -> str:
    """Say what no planner writes: a value that is missing, out of range or not finite, or a unit's name that is none.

    '' where there is nothing to say. Looks at the columns that there are.
    """
    for name in rows.column_names:
        values = rows.column(name)
        if name not in _MAY_LACK and name in PLAN_SCHEMA.names and values.null_count:
            return f"no {name} in {values.null_count:,} of its rows"
        # NaN is neither more nor less than anything.
        if name in _LEAST and not _all(pc.greater_equal(values, _LEAST[name])):
            return f"{name} out of range"
        if pa.types.is_floating(values.type) and not _all(pc.less_equal(values, _LONGEST)):
            return f"{name} out of range"
    if "unit" in rows.column_names and not _are_names(rows.column("unit")):
        return "units with names that are none"
    if "supersedes" in rows.column_names and not _are_old_rows(rows.column("supersedes")):
        return "rows that take the place of none"
    return ""


def _are_names(units: pa.ChunkedArray | pa.Array) -> bool:
    # A fifth of the time of a pattern.
    hexadecimal = pc.equal(pc.ascii_ltrim(units, _DIGITS), "")
    return units.null_count == 0 and _all(pc.and_(pc.equal(pc.binary_length(units), UNIT_NAME_DIGITS), hexadecimal))


def _are_old_rows(supersedes: pa.ChunkedArray) -> bool:
    if supersedes.null_count == len(supersedes):
        return True
    olds = pc.list_flatten(supersedes)
    ids = pc.struct_field(olds, "id")
    return olds.null_count == ids.null_count == 0 and _are_names(pc.struct_field(olds, "unit"))


def _all(held: pa.ChunkedArray | pa.Array) -> bool:
    return bool(pc.all(held, min_count=0).as_py())
