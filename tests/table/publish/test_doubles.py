"""Ids that come more than once are found wherever they are, and no others."""

from __future__ import annotations

import pyarrow as pa

from pipeline.plan.ids import digests
from pipeline.table.publish.doubles import doubled, id_digests, rows_of


def of(*ids: str) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.string())})


def test_ids_that_come_twice_or_more_often_are_found_once_each() -> None:
    every = bytearray(id_digests(of("b", "a", "c", "b")) + id_digests(of()) + id_digests(of("d", "a", "b")))
    assert set(doubled(every).tolist()) == set(digests(["a", "b"]).tolist())
    assert doubled(every).size == 2


def test_nothing_comes_twice_among_few() -> None:
    assert [doubled(bytearray(id_digests(of(*ids)))).size for ids in ((), ("a",), ("a", "b"))] == [0, 0, 0]


def test_their_rows_are_counted_and_one_is_named() -> None:
    twice = doubled(bytearray(id_digests(of("a", "b", "b"))))
    assert rows_of(twice, [of("a"), of("c", "b"), of(), of("b")]) == (2, "b")
    assert rows_of(twice, [of("a")]) == (0, "")
