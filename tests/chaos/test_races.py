"""A race on a local disk and one on a Ceph gateway, with a sleeper; `make chaos` has many."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import races, stores
from tests.chaos.promise import Broken

RACES = 4
"""One of so many has a sleeper that others overtake."""


def test_runs_at_once_agree_and_a_sleeper_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "STORES", {})
    counts: Counter[str] = Counter()
    # On a busy machine a sleeper may begin so late that it finds nothing to do.
    for seed in range(1, RACES + 1):
        counts.update(races.run(seed, time.monotonic(), tmp_path / str(seed)))
        if counts["races: zombie taken"]:
            break
    assert counts["races: local"] == counts["races"] > 0
    assert counts["races: zombie taken"] == 1
    assert counts["races: unit taken"] > 1


@pytest.mark.parametrize("s3_endpoint", ["radosgw"], indirect=True, scope="session")
def test_runs_at_once_on_a_gateway_agree(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "STORES", {"radosgw": lambda: contextlib.nullcontext(s3_endpoint)})
    counts: Counter[str] = Counter()
    # On a busy machine one may come second to nothing, and is no race. The first of each seed is on the gateway.
    for seed in range(1, RACES + 1):
        folder = tmp_path / str(seed)
        folder.mkdir()
        counts.update(races.run(seed, time.monotonic() + 2 * stores.GATEWAY, folder, most=1))
        if counts["races"]:
            break
    assert counts["races: radosgw"] == counts["races"] == 1
    assert counts["races: unit taken"] + counts["races: plan taken"] > 0


@pytest.mark.parametrize("name", ["plan taken", "unit taken", "zombie taken"])
def test_runs_at_once_of_which_none_came_second_are_no_race(name: str) -> None:
    first = Counter({"plan first": 1, "unit first": 3, "zombie first": 1})
    told = {"races: plan first": 1, "races: unit first": 3, "races: zombie first": 1}
    assert races.counted("moto", first) == {**told, "races: idle": 1}
    assert races.counted("moto", first + Counter({name: 2})) == {
        **told, f"races: {name}": 2, "races: moto": 1, "races": 1,
    }  # fmt: skip


def test_a_committed_file_that_changes_is_noticed(tmp_path: Path) -> None:
    race = races.Race(str(tmp_path), "", {})
    unit = tmp_path / "out/transcribe" / f"{'a' * 32}.parquet"
    race.versions = {f"file://{unit}": "5-1"}
    unit.parent.mkdir(parents=True)
    (unit.parent / "_task.json").write_text("{}")
    with pytest.raises(Broken, match="was 5-1, is now None"):
        race.look()


def test_a_store_that_does_not_start_is_told_and_where_tests_are_the_proof_fails_them(monkeypatch, capsys) -> None:
    @contextlib.contextmanager
    def broken() -> Iterator[str]:
        raise RuntimeError("no monitor")
        yield

    monkeypatch.setattr(stores, "STORES", {"moto": broken})
    monkeypatch.delenv("CI", raising=False)
    with contextlib.ExitStack() as stack:
        assert stores.opened(stack, seconds=600.0) == {}
        assert "without moto, which did not start: no monitor" in capsys.readouterr().err
        monkeypatch.setenv("CI", "true")
        with pytest.raises(RuntimeError, match="no monitor"):
            stores.opened(stack, seconds=600.0)
