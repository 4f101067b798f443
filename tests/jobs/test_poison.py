"""Recordings that end or keep the process that decodes them: each is a row with an error, its neighbours are heard."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.jobs.corpora import driver, end_group
from tests.jobs.poisoned import PATH, bad_file, silence, survive, survive_in_the_model, told


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("each", [1, 30])
def test_every_hostile_recording_is_a_row_with_its_error_and_its_neighbours_are_heard(tmp_path, each):
    survive(tmp_path, each)


@pytest.mark.parametrize(
    ("each", "seconds"),
    [
        pytest.param(1, 60, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param(30, 20, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
    ],
    ids=["each", "thirty of each"],
)
def test_recordings_that_end_the_model_are_rows_with_their_errors_too(tmp_path, each, seconds):
    screen = survive_in_the_model(tmp_path, each, unit_seconds=seconds)
    # Two workers died over the recordings before they were tried alone.
    assert re.search(r"tries   \d+ units? took more than one attempt, such as [3-9] at unit ", screen), screen


def one(folder: Path, source: Path) -> tuple[int, str]:
    """Exit code and screen of a job on one file."""
    process = driver([str(source), str(folder / "out"), "--max-errors", "100%"], home=folder, path=PATH)
    try:
        screen = process.communicate(timeout=300)[0]
    finally:
        end_group(process)
    return process.returncode, screen


def test_a_hostile_recording_alone_without_a_cluster_is_a_row_too(tmp_path):
    source = tmp_path / "one.flac"
    source.write_bytes(bad_file("crash"))
    code, screen = one(tmp_path, source)
    assert code == 0, screen
    assert "SIGSEGV" in screen
    assert list(told(tmp_path / "out").values()) == ["decode.crashed"]


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_recording_alone_that_ends_the_model_ends_one_run_and_is_a_row_of_the_next(tmp_path):
    source = tmp_path / "one.flac"
    source.write_bytes(silence("crash"))
    code, screen = one(tmp_path, source)
    assert code == -signal.SIGSEGV, screen
    assert told(tmp_path / "out") == {}
    code, screen = one(tmp_path, source)
    assert code == 0, screen
    assert "so on a cluster" in screen
    assert list(told(tmp_path / "out").values()) == ["model.crashed"]
