"""Which names a plan has whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan.files import index_files, last_rows, name_of

ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.booleans(), st.booleans()), max_size=30)


@pytest.mark.parametrize(
    ("id", "member", "spans", "name"),
    [
        ("c/a.wav", None, 1, "c/a.wav"),
        ("c/a@1.wav", None, 1, "c/a@1.wav"),
        ("c/day.wav@0-3600", None, 9, "c/day.wav"),
        ("c/a.tar::x/k.wav", "x/k.wav", 1, "c/a.tar::"),
        ("c/a.tar::x/day.wav@0-3600", "x/day.wav", 9, "c/a.tar::"),
        ("c/a.tar::x.tar::x.tar", "x.tar", 1, "c/a.tar::x.tar::"),
    ],
)
def test_name(id: str, member: str | None, spans: int, name: str) -> None:
    assert name_of(id, member, spans) == name


@given(st.lists(st.integers(0, 5), max_size=30), st.lists(st.integers(0, 5), max_size=3))
def test_last_rows(names: list[int], doubted: list[int]) -> None:
    last = last_rows(np.array(names, dtype=np.int64), np.array(doubted, dtype=np.int64))
    expected = [name not in names[row + 1 :] and name not in doubted for row, name in enumerate(names)]
    assert last.tolist() == expected


@given(ROWS)
def test_index(rows: list[tuple[int, int, bool, bool]]) -> None:
    names, versions, closing, newest = (np.array(column) for column in zip(*rows, strict=True)) if rows else [[]] * 4
    hashes = [np.array([hash(f"{kind}{each}") for each in column], dtype=np.int64)
              for kind, column in (("n", names), ("v", versions))]  # fmt: skip
    kept = np.flatnonzero(newest)
    index, places = index_files(*hashes, hashes[1], np.array(closing, dtype=bool), kept)
    for name in range(6):
        of_name = [row for row in rows if row[0] == name]
        for version in range(3):
            known = bool(of_name) and of_name[-1][2] and of_name[-1][1] == version
            count = sum(row[1] == version and row[3] for row in of_name) if known else 0
            assert index.rows_of(f"n{name}", f"v{version}") == count
        assert (index.find(f"n{name}") >= 0) == bool(of_name)
    assert [index.names[place] for place in places] == [hashes[0][row] for row in kept]
