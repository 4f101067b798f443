"""Lines that one process writes and another shows."""

from __future__ import annotations

from pathlib import Path

from pipeline.training.log import followed, teller


def test_lines_are_shown_as_they_come_and_old_ones_are_not(tmp_path: Path) -> None:
    say = teller(tmp_path / "out/training.log")
    say("of an earlier run")
    shown: list[str] = []
    with followed(tmp_path / "out/training.log", shown.append, pause=0.01):
        say("one")
        say("two, with ü")
    assert shown == ["one", "two, with ü"]


def test_a_log_that_never_comes_shows_nothing(tmp_path: Path) -> None:
    shown: list[str] = []
    with followed(tmp_path / "none.log", shown.append, pause=0.01):
        pass
    assert shown == []
