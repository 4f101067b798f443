"""Kill a run again and again at random moments, finish it, and compare the plan with the table."""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from pipeline import plan, read_table
from pipeline.storage.paths import canonical
from pipeline.table.__main__ import main as table_main
from tests.jobs.corpora import driver, end_group, many_units

PATIENCE = 300.0
"""Seconds that one run may take on a busy machine."""


@dataclass
class Outcome:
    """What the kills left."""

    kills: int = 0
    units_at_kill: list[int] = field(default_factory=list)
    """Committed units at the moment of each kill."""
    globs: int = 0
    """How often the folder was read in the middle of a run."""
    broken: list[str] = field(default_factory=list)
    """What a reader saw that no reader may see."""
    planned: int = 0
    rows: int = 0
    unique: int = 0
    verified: bool = False

    @property
    def kept(self) -> bool:
        """Whether the promise held."""
        return not self.broken and self.verified and self.planned == self.rows == self.unique


def torment(folder: Path, *, kills: int, recordings: int, seed: int) -> Outcome:
    """Transcribe `recordings` in units of one or two, killing the driver `kills` times once work has begun.

    Every second kill takes the driver alone and leaves its Ray to notice; the others take the whole process group.
    """
    source, output = many_units(folder / "source", count=recordings), folder / "out"
    arguments = [str(source), str(output), "--unit-seconds", "5", "--device", "cpu"]
    dice, outcome = random.Random(seed), Outcome()
    for number in range(kills):
        process = _start(arguments, folder, f"run{number}.log")
        try:
            aim = len(units(output)) + dice.randint(1, max(1, recordings // (2 * kills)))
            _watch(process, output, aim, outcome)
            time.sleep(dice.uniform(0, 0.5))
            outcome.units_at_kill.append(len(units(output)))
            if process.poll() is None:
                outcome.kills += 1
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(dice.uniform(0, 2) if number % 2 else 0)
        finally:
            end_group(process)
    last = _start(arguments, folder, "last.log")
    try:
        code = last.wait(timeout=PATIENCE)
    finally:
        end_group(last)
    if code != 0:
        outcome.broken.append(f"the last run ended with code {code}")
    _compare(output, outcome)
    return outcome


def _start(arguments: list[str], folder: Path, log: str):
    with open(folder / log, "w") as screen:
        return driver(arguments, home=folder, stdout=screen)


def units(output: Path) -> list[Path]:
    """Files that a plain glob finds."""
    return sorted((output / "transcribe").glob("*.parquet"))


def _watch(process, output: Path, aim: int, outcome: Outcome) -> None:
    """Read what is committed until there is enough of it, as any reader may at any moment."""
    deadline = time.monotonic() + PATIENCE
    seen: set[Path] = set()
    while process.poll() is None and time.monotonic() < deadline:
        for file in set(units(output)) - seen:
            seen.add(file)
            table = pq.read_table(file)
            told = int(table.schema.metadata[b"voxmill.rows"])
            if table.num_rows != told:
                outcome.broken.append(f"{file.name} has {table.num_rows} of {told} rows")
        outcome.globs += 1
        if len(seen) >= aim:
            return
        time.sleep(0.05)


def _compare(output: Path, outcome: Outcome) -> None:
    ids = read_table(output).to_pandas().id
    refs = plan.units(canonical(str(output)))
    outcome.planned = sum(ref.count for ref in refs)
    outcome.rows, outcome.unique = len(ids), ids.nunique()
    outcome.verified = table_main(["verify", str(output)]) == 0
