"""Which rows can be compared."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.rows import compared

STATES = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=8)


def table(states: list[tuple[bool, bool, bool]]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([str(n) for n in range(len(states))], pa.string()),
            "key": pa.array(["k"] * len(states), pa.string()),
            "spans": pa.array([1] * len(states), pa.int32()),
            "error": pa.array([{"stage": "read"} if failed else None for failed, _, _ in states],
                              pa.struct([("stage", pa.string())])),
            "text": pa.array([None if failed or empty else "x" for failed, empty, _ in states], pa.string()),
        }
    )  # fmt: skip


@given(STATES, st.booleans())
def test_every_row_is_compared_or_has_one_reason(states: list[tuple[bool, bool, bool]], needed: bool) -> None:
    references = [None if unknown else "y" for _, _, unknown in states]
    found = compared(table(states), references, result="text", lacking="without a text", needed=needed)
    kept = [n for n, (failed, empty, unknown) in enumerate(states) if not (failed or empty or (unknown and needed))]
    assert found.column("id") == [str(n) for n in kept]
    assert found.references == [references[n] for n in kept]
    assert [int(place) for place in found.places if place >= 0] == list(range(len(kept)))
    assert len(kept) + sum(found.left_out.values()) == len(states)


def test_the_first_reason_counts() -> None:
    states = [(True, True, True), (False, True, True), (False, False, True), (False, False, False)]
    found = compared(table(states), [None, None, None, "y"], result="text", lacking="without a text")
    assert found.left_out == {"with an error": 1, "without a text": 1, "without a reference": 1}
    assert found.places.tolist() == [-1, -1, -1, 0]
