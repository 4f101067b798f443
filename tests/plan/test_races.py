"""Two planners at once, while files arrive: every recording is planned once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.corpus import Recording
from pipeline.plan import PlanReport, load_unit, publish, store, units
from pipeline.plan.generations import Scope
from pipeline.plan.store import Bounds, extend_from
from pipeline.storage.put import put_if_absent

ROOT = Path(__file__).resolve().parents[2]
RACES = 20


@pytest.fixture
def planners() -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("planner.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)},
        )
        for _ in range(2)
    ]  # fmt: skip
    yield started
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def test_two_planners_while_files_arrive(tmp_path: Path, planners: list[subprocess.Popen[str]]) -> None:
    lost = 0
    for race in range(RACES):
        folder, output = tmp_path / f"audio{race}", tmp_path / f"out{race}"
        folder.mkdir()
        output.mkdir()
        for number in range(40):
            (folder / f"{number:03d}.wav").touch()
        for process in planners:
            assert process.stdin is not None
            process.stdin.write(f"{output} {folder}\n")
            process.stdin.flush()
        for number in range(40, 80):
            (folder / f"{number:03d}.wav").touch()
            time.sleep(0.001)
        answers = [json.loads(process.stdout.readline()) for process in planners if process.stdout]
        # What arrived last may be planned by nobody yet; nothing may be planned by both.
        refs = units(str(output))
        planned = Counter(each.id for ref in refs for each in load_unit(str(output), ref).recordings)
        assert set(planned.values()) == {1}
        assert set(planned) <= {f"c/{number:03d}.wav" for number in range(80)}
        assert len(planned) >= 40
        assert sum(answer["new"] for answer in answers) == len(planned)
        written = [number for answer in answers for number in answer["generations"]]
        assert sorted(written) == list(range(1, len(written) + 1))
        lost += sum(answer["listings"] - 3 for answer in answers)
    assert lost > 0, "no planner ever came second, so nothing was tried"


def test_what_a_try_that_came_second_has_planned_is_new_once_and_not_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, output, scope = "abcd", f"file://{tmp_path}/out", Scope("c", ("file:///c",))
    rows = [Recording(f"c/{n}", f"file:///c/{n}", n, "1-1", f"c/{n}", "wav", 30.0, "header", 9) for n in names]

    def planned() -> PlanReport:
        return extend_from(lambda known: [(row,) for row in rows], output, scope=scope, bounds=Bounds(60.0))

    others: list[PlanReport] = []

    def overtaken(uri: str, data: bytes) -> bool:
        if uri.endswith("000002.parquet") and not others:
            monkeypatch.setattr(store, "put_if_absent", put_if_absent)
            others.append(planned())
        return put_if_absent(uri, data)

    monkeypatch.setattr(publish, "ROW_GROUP", 2)
    monkeypatch.setattr(publish, "GENERATION", 2)
    monkeypatch.setattr(store, "put_if_absent", overtaken)
    ours, (theirs,) = planned(), others
    assert (ours.generations, ours.new, ours.unchanged) == ((1,), 2, 2)
    assert (theirs.generations, theirs.new, theirs.unchanged) == ((2,), 2, 2)
    assert [unit.count for unit in units(output)] == [2, 2]
