"""Parts are run, counted and written down; the first that breaks ends the run; README has the sum."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from tests.chaos import poison, run, summary
from tests.chaos.promise import Broken
from tests.faultproxy import KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, float]]:
    """Three parts, of which the second breaks a promise where the seed is 13; what each was given."""
    given: list[tuple[str, int, float]] = []

    def part(name: str) -> run.Part:
        def count(seed: int, deadline: float, folder: Path) -> dict[str, int]:
            assert folder.is_dir()
            given.append((name, seed, deadline - time.monotonic()))
            if (name, seed) == ("b", 13):
                raise Broken("two rows of one")
            return {"tries": 3}

        return count

    for name in "abc":
        module = types.ModuleType(f"made_up_{name}")
        module.run = part(name)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(run, "PARTS", {name: run.Share(f"made_up_{name}", 1 + (name == "c")) for name in "abc"})
    return given


def go(tmp_path: Path, *arguments: str) -> tuple[int, list[dict]]:
    results = tmp_path / "results.jsonl"
    code = run.main([*arguments, "--results", str(results)])
    return code, [json.loads(line) for line in results.read_text().splitlines()]


def test_parts_share_the_minutes_and_what_one_leaves_the_next_has(parts, tmp_path):
    code, lines = go(tmp_path, "--minutes", "100", "--seed", "5")
    assert code == 0
    assert [(name, seed) for name, seed, _ in parts] == [("a", 5), ("b", 5), ("c", 5)]
    assert [seconds for _, _, seconds in parts] == pytest.approx([1500, 2000, 6000], rel=0.01)
    assert [(line["part"], line["seed"], line["counts"]) for line in lines] == [(n, 5, {"tries": 3}) for n in "abc"]
    assert all(line.keys() == {"date", "commit", "dirty", "part", "seed", "minutes", "counts"} for line in lines)


def test_the_first_broken_promise_ends_the_run_and_tells_how_to_have_it_again(parts, tmp_path, capsys):
    code, lines = go(tmp_path, "--minutes", "1", "--seed", "13")
    assert code == 1
    assert [name for name, _, _ in parts] == ["a", "b"]
    assert lines[-1]["broken"] == "Broken: two rows of one"
    assert "make chaos SEED=13 PARTS=b MINUTES=1" in capsys.readouterr().out


def test_some_parts_only(parts, tmp_path):
    assert go(tmp_path, "--parts", "c,a")[0] == 0
    assert [name for name, _, _ in parts] == ["c", "a"]


def test_a_part_goes_on_behind_what_the_same_seed_has_done_at_this_commit(tmp_path, monkeypatch):
    told = []

    def count(seed: int, deadline: float, folder: Path, before: dict[str, int]) -> dict[str, int]:
        told.append(before)
        return {"tries": 3}

    module = types.ModuleType("made_up_more")
    module.run = count  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(run, "PARTS", {"more": run.Share("made_up_more", 1, goes_on=True)})
    state = {"commit": "a", "dirty": False}
    monkeypatch.setattr(run, "revision", lambda: dict(state))
    for commit, dirty, seed in (("a", False, 5), ("a", True, 5), ("a", False, 5), ("a", False, 6), ("b", False, 5)):
        state.update(commit=commit, dirty=dirty)
        go(tmp_path, "--minutes", "1", "--seed", str(seed))
    assert told == [{}, {"tries": 3}, {"tries": 3}, {}, {}]


class Repository:
    """A repository of made-up files, which no settings of this machine reach."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith("GIT_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
        monkeypatch.setattr(run, "ROOT", folder)
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def change(self, *files: str) -> None:
        for file in files:
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            with open(self.folder / file, "a") as text:
                text.write("more\n")

    def commit(self, *files: str) -> str:
        self.change(*files)
        self.git("add", "-A")
        self.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")
        return self.git("rev-parse", "HEAD")[:12]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    return Repository(tmp_path / "repository", monkeypatch)


ASIDE = (
    "README.md",
    "tests/test_a.py",
    "tests/chaos/test_b.py",
    "tests/chaos/results.jsonl",
    "tests/fuzz/results/reach.txt",
    "tests/benchmarks/gpu.py",
)


@pytest.mark.parametrize(
    "file",
    [
        "pipeline/a/b.py",
        "jobs/a.py",
        "tests/chaos/kills.py",
        "tests/radosgw.py",
        "pyproject.toml",
        "infra/constraints.txt",
    ],
)
def test_the_commit_of_results_is_the_last_one_that_changed_what_runs(repository: Repository, file: str) -> None:
    repository.commit("pipeline/first.py")
    counted = repository.commit(file, "README.md")
    repository.commit(*ASIDE)
    assert run.revision() == {"commit": counted, "dirty": False}
    repository.change(file)
    assert run.revision() == {"commit": counted, "dirty": True}


def test_what_no_part_runs_may_differ_from_the_commit_of_results(repository: Repository) -> None:
    counted = repository.commit("jobs/a.py", *ASIDE[:3])
    repository.change(*ASIDE)
    assert run.revision() == {"commit": counted, "dirty": False}
    repository.change("tests/new.py")
    assert run.revision() == {"commit": counted, "dirty": True}


def test_a_clone_without_its_history_knows_no_commit_of_results(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = repository.commit("pipeline/a.py")
    repository.commit("README.md")
    for depth, known in ((["--depth=1"], False), ([], True)):
        place = tmp_path / f"clone-{known}"
        repository.git("clone", "-q", *depth, f"file://{repository.folder}", str(place))
        monkeypatch.setattr(run, "ROOT", place)
        assert run.revision() == {"commit": counted if known else "", "dirty": not known}


def test_outside_a_repository_no_commit_is_known(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path / "nowhere")
    assert run.revision() == {"commit": "", "dirty": True}


def line(part: str, commit: str = "new", **counts: int) -> dict:
    return {"commit": commit, "dirty": False, "part": part, "seed": 1, "minutes": 12.0, "counts": counts}


def test_the_table_is_the_sum_of_one_commit():
    whole = {"fuzz: wav": 99_999, "fuzz: wav past header": 99_999}
    lines = [
        line("kills", kills=150, runs=30, driver=9, **{"runs on disk": 20, "runs on moto": 10}),
        line("kills", kills=60, runs=10, driver=2, **{"runs on disk": 10}) | {"seed": 2},
        line("kills", "old", kills=1000, runs=1000),
        line("protocol", states=1_320_296, schedules=900_000),
        line("protocol", states=1_320_296, schedules=90_000) | {"seed": 2, "broken": "Broken: twice"},
        line("fuzz", **{"fuzz: tar": 200_000, "fuzz: tar past header": 50_000, **whole}),
    ]
    rows = summary.page(lines, "new").splitlines()
    assert rows[0] == "| what is done, and what holds | goal | done at commit new |"
    assert rows[2].endswith(
        "| 200 kills, 40 runs, all 3 places | 210 kills, 40 runs; driver 11, runs on disk 30, runs on moto 10; "
        "24 minutes; short of the goal: runs on radosgw |"
    )
    assert rows[5].endswith(
        "| 990,000 schedules; states 1,320,296; 24 minutes; **did not hold in 1 of 2 runs**; "
        "short of the goal: schedules |"
    )
    assert rows[7].endswith(
        "| 100,000 of each | 2 kinds, each at least 99,999 (wav), 299,999 in all, 50% past header, least 25% (tar); "
        "12 minutes; short of the goal: wav |"
    )
    assert rows[3].endswith("| 2,000 storage faults, all 10 kinds | not run |")


def test_a_seed_that_is_run_again_counts_once_where_the_part_does_not_go_on_behind_it():
    longer = {"minutes": 20.0}
    races = [line("races", races=9), line("races", races=15) | longer, line("races", races=1) | {"seed": 2}]
    fuzz = [line("fuzz", **{"fuzz: tar": 60_000}), line("fuzz", **{"fuzz: tar": 60_000})]
    rows = summary.page([*races, *fuzz], "new").splitlines()
    assert "| 16 races; 44 minutes; short of the goal: races |" in rows[4]
    assert "120,000 in all" in rows[7]


def test_a_kind_of_fault_that_did_not_happen_is_short_of_the_goal():
    kinds = {f"faults: {kind}": 1 for kind in KINDS}

    def row(**counts: int) -> str:
        return summary.page([line("faults", **{"storage faults": 2500, **counts})], "new").splitlines()[3]

    assert "short of" not in row(**kinds)
    assert row(**kinds | {"faults: cut": 0}).endswith("; short of the goal: cut |")
    assert row().endswith("; short of the goal: slow down, 500, reset, 7 more |")


def test_a_kind_of_poison_that_was_not_tried_is_short_of_the_goal():
    def row(**counts: int) -> str:
        enough = {poison.DECODER: 180, poison.MODEL: 150, **dict.fromkeys(poison.KINDS, 30)}
        return summary.page([line("poison", **enough | counts)], "new").splitlines()[6]

    assert "| 180 recordings that end the decoder, 150 recordings that end the model, all 11 kinds | 180 rec" in row()
    assert "short of" not in row()
    assert row(**{"model hang": 0}).endswith("; short of the goal: model hang |")
    assert row(**{poison.MODEL: 30}).endswith("; short of the goal: recordings that end the model |")


def test_what_was_counted_on_changed_code_is_left_out(tmp_path):
    file = tmp_path / "results.jsonl"
    file.write_text("".join(json.dumps(line("kills") | {"dirty": dirty}) + "\n" for dirty in (True, False, True)))
    assert len(summary.read(file)) == 1


def test_readme_has_the_table_of_the_newest_results():
    lines = summary.read(summary.RESULTS)
    if not lines:
        pytest.skip("no results on a commit without changes yet")
    readme = (ROOT / "README.md").read_text()
    commits = {each["commit"] for each in lines}
    assert [commit for commit in commits if summary.page(lines, commit) in readme], (
        "README's reliability table is not that of the results: python tests/chaos/summary.py"
    )
