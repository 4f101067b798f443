"""Whatever happens in whatever order, what is published agrees with the table."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipeline.table.publish import Published, publish
from pipeline.table.publish.checking import WHOLE, contradictions
from pipeline.table.publish.difference import data_files
from tests.table.conftest import Made, rows_of
from tests.table.publish.sets import TASK, expected, folder, shown


def agrees(made: Made, before: dict[str, tuple[Any, ...]], done: Published) -> None:
    """Check a set against the table, where rows of units that are away are as they were `before`.

    Where the newest unit of a row is lost, and the one before it is away and published without that row, the row is
    nowhere until a run has done them again: then it must be told that one is away.
    """
    found, now = shown(made.output), expected(made.output)
    there = {file.stem for file in Path(made.output, TASK).glob("*.parquet")}
    assert {id: row for id, row in found.items() if row[2] in there} == {
        id: row for id, row in now.items() if id in found and found[id][2] in there
    }
    assert now.keys() <= found.keys() or done.away
    assert all(before[id] == row for id, row in found.items() if row[2] not in there)
    assert list(contradictions(made.output, (), WHOLE)) == []


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 2, 3))])
def test_random_histories(made: Made, seed: int) -> None:
    dice = random.Random(seed)
    versions: dict[str, str] = {}
    before: dict[str, tuple[Any, ...]] = {}
    made.declare()
    for step in range(12):
        for name in dice.sample("abcdefgh", 3 if step else 8):
            versions[name] = f"{step}-{step}"
        for version in sorted(set(versions.values())):
            made.plan(
                *(name for name in versions if versions[name] == version),
                version=version,
                seconds=dice.choice([10.0, 30.0]),
            )
        count = len(made.units)
        for number in dice.sample(range(count), dice.randrange(count + 1)):
            made.put(made.unit(number), rows_of(made.unit(number), text=made.units[number].name))
        committed = sorted(Path(made.output, TASK).glob("*.parquet"))
        for file in dice.sample(committed, len(committed) // 3):
            file.unlink()  # as a user does with a damaged one
        if dice.random() < 0.3 and data_files(made.output, TASK):
            dice.choice(sorted(folder(made).rglob("*.parquet"))).unlink()
        if dice.random() < 0.8:
            done = publish(
                made.output, TASK,
                partition_by=dice.choice([None, None, "", "span"]), file_bytes=dice.choice([1, 10**6]),
            )  # fmt: skip
            agrees(made, before, done)
            before = shown(made.output)
