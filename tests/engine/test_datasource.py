"""Units as read tasks."""

import pickle

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.datasource import MOST_READ_TASKS, UnitSource, split


@given(st.integers(0, 2000), st.integers(1, 400))
def test_every_unit_is_in_one_share_and_in_order(units, tasks):
    shares = split(range(units), tasks)
    assert [unit for share in shares for unit in share] == list(range(units))
    assert len(shares) == min(units, tasks)
    assert all(shares)


def row(number):
    return pa.table({"unit": [str(number)]})


def test_a_task_yields_one_block_a_unit_and_says_so_before():
    tasks = UnitSource(range(10), row, tasks=3).get_read_tasks(1)
    assert [task.metadata.num_rows for task in tasks] == [len(list(task())) for task in tasks]
    assert [block["unit"][0].as_py() for task in tasks for block in task()] == [str(n) for n in range(10)]


def test_many_units_need_few_and_small_tasks():
    tasks = UnitSource(range(20_000), row, tasks=10_000).get_read_tasks(1)
    assert len(tasks) == MOST_READ_TASKS
    shares = UnitSource(range(20_000), row, tasks=10_000)._shares
    assert max(len(pickle.dumps(share)) for share in shares) < 1000
