from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.audio.growing import Growing


@given(sizes=st.lists(st.integers(0, 50), max_size=20))
def test_rows_come_back_in_order(sizes: list[int]) -> None:
    growing, rows = Growing(3), np.arange(sum(sizes) * 3, dtype=np.float32).reshape(-1, 3)
    for piece in np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []:
        growing.append(piece)
    np.testing.assert_array_equal(growing.array(), rows)
    assert growing.array().flags.c_contiguous


def test_samples_are_rows_of_nothing() -> None:
    growing = Growing()
    for _ in range(3):
        growing.append(np.ones(5, dtype=np.float32))
    assert growing.array().shape == (15,)
