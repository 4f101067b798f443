"""The poison of `make chaos`: one small run of it, and what longer ones count, as many of each kind as were in them."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.chaos import poison
from tests.jobs import poisoned

FEW = {"leave": "decode.crashed", "kill": "decode.crashed", "crash": "model.crashed"}
"""What the recordings of a run do that takes a fraction of a minute, and the errors of their rows."""


@pytest.mark.timeout(600)
def test_recordings_that_end_the_decoder_and_one_that_ends_the_model_are_rows_of_one_run_on_ray(tmp_path: Path) -> None:
    def made(kind: str) -> bytes:
        return poisoned.silence(kind) if FEW[kind].startswith("model") else poisoned.bad_file(kind)

    source, ends = poisoned.hostile(tmp_path / "source", 1, FEW, made)
    screen = poisoned.heard(tmp_path, source, ends, ["--unit-seconds", "60"])
    # Two workers died over the unit before its recordings were tried alone.
    assert re.search(r"tries   1 unit took more than one attempt, such as [3-9] at unit ", screen), screen


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
