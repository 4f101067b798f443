"""The poison of `make chaos`, without its runs: as many of each kind as were in runs that held."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos import poison


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Folder of each run, and how many of each kind it had."""
    done: list[tuple[str, int]] = []
    for name in ("survive", "survive_in_the_model"):
        monkeypatch.setattr(poison, name, lambda folder, each, **_: done.append((folder.name, each)))
    return done


def test_a_part_whose_time_is_over_has_some_of_each_kind(runs: list[tuple[str, int]], tmp_path: Path) -> None:
    counts = poison.run(1, time.monotonic(), tmp_path)
    assert runs == [("decoder-0", 3), ("model-0", 3)]
    assert counts == {poison.DECODER: 18, poison.MODEL: 15, **dict.fromkeys(poison.KINDS, 3)}
    assert len(poison.KINDS) == 11


def test_a_part_ends_with_enough_of_each_kind(runs: list[tuple[str, int]], tmp_path: Path) -> None:
    counts = poison.run(1, time.monotonic() + 1000, tmp_path)
    assert len(set(runs)) == len(runs) == 20
    assert counts == {poison.DECODER: 180, poison.MODEL: 150, **dict.fromkeys(poison.KINDS, 30)}
