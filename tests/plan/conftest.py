"""Recordings and listings made up for planning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus import Recording
from pipeline.plan import PlanReport
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from
from pipeline.sources import Group, Problem, RowsPlanned

MakeRecording = Callable[..., Recording]


@pytest.fixture(scope="session")
def make() -> MakeRecording:
    """Makes a recording of corpus `c` from its path."""

    def make(path: str, **changes: Any) -> Recording:
        fields: dict[str, Any] = {
            "id": f"c/{path}", "source": f"file:///c/{path}", "key": path.rpartition(".")[0], "version": "10-1",
            "recording": f"c/{path}", "format": path.rpartition(".")[2], "seconds": 10.0, "seconds_from": "header",
            "size": 1000,
        }  # fmt: skip
        return Recording(**{**fields, **changes})

    return make


@dataclass
class Planner:
    """Plans made-up listings into one output."""

    output: str
    scope: Scope = Scope("c", ("file:///c",))
    listings: int = 0
    reports: list[PlanReport] = field(default_factory=list)

    def __call__(
        self, entries: Iterable[Recording | Group | Problem], *, dry_run: bool = False, **bounds: Any
    ) -> PlanReport:
        entries = list(entries)

        def listing(known: RowsPlanned) -> Iterator[Group | Problem]:
            self.listings += 1
            for entry in entries:
                yield (entry,) if isinstance(entry, Recording) else entry

        made = extend_from(listing, self.output, scope=self.scope, bounds=Bounds(**bounds), dry_run=dry_run)
        self.reports.append(made)
        return made


@pytest.fixture(autouse=True)
def output(tmp_path: Path) -> Path:
    """Output with nothing in it, as the probe at the start of a run leaves it."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def plan(tmp_path: Path) -> Planner:
    """Planner of an output in which nothing is planned yet."""
    return Planner(str(tmp_path / "out"))
