"""Recordings that end or keep the process that decodes them: each is a row with an error, its neighbours are heard."""

from __future__ import annotations

import itertools
import re
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.table.verify import verify
from tests.jobs.corpora import clips, driver, encoded, end_group, write_tar
from tests.jobs.poisoned import PATH, survive, told


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("each", [1, 30])
def test_every_hostile_recording_is_a_row_with_its_error_and_its_neighbours_are_heard(tmp_path, each):
    survive(tmp_path, each)


MODEL_ENDS = {
    51: "model.crashed", 52: "model.crashed", 53: "model.crashed", 54: "model.timeout", 55: "model.memory",
}  # fmt: skip
"""Frames of a silent recording, which `tests/isolation/poison` knows, and the error of its row."""


def silence(frames: int) -> bytes:
    """Digital silence that makes so many frames of the model."""
    return encoded(np.zeros(400 + 160 * (2 * frames - 1), np.float32))


def hostile_to_the_model(folder: Path, frames: Sequence[int]) -> tuple[Path, dict[str, str]]:
    """A tar of silent recordings of so many frames, between good ones; the text or error of each key."""
    members, ends = {}, {}
    for number, (clip, count) in enumerate(zip(itertools.cycle(clips()), frames)):
        good, text = encoded(clip.samples, rate=clip.rate), clip.text
        members |= {f"a{number:03d}.flac": good, f"b{number:03d}.flac": silence(count)}
        ends |= {f"a{number:03d}": text, f"b{number:03d}": MODEL_ENDS[count]}
    return write_tar(folder / "hostile.tar", members), ends


@pytest.mark.parametrize(
    ("frames", "seconds"),
    [
        pytest.param(list(MODEL_ENDS), 60, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param(list(MODEL_ENDS) * 30, 20, marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
    ],
    ids=["each", "thirty of each"],
)
def test_recordings_that_end_the_model_are_rows_with_their_errors_too(tmp_path, frames, seconds):
    source, ends = hostile_to_the_model(tmp_path / "source", frames)
    limits = ["--batch-timeout", "15s", "--recording-memory", "1GB", "--unit-seconds", str(seconds)]
    arguments = [str(source), str(tmp_path / "out"), "--device", "cpu", "--max-errors", "60%", *limits]
    process = driver(arguments, home=tmp_path, path=PATH)
    try:
        screen = process.communicate(timeout=7000)[0]
    finally:
        end_group(process)
    assert process.returncode == 0, screen
    assert verify(str(tmp_path / "out")).complete
    assert told(tmp_path / "out") == ends
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
    source.write_bytes(b"POISON:crash".ljust(3000, b"\0"))
    code, screen = one(tmp_path, source)
    assert code == 0, screen
    assert "SIGSEGV" in screen
    assert list(told(tmp_path / "out").values()) == ["decode.crashed"]


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_a_recording_alone_that_ends_the_model_ends_one_run_and_is_a_row_of_the_next(tmp_path):
    source = tmp_path / "one.flac"
    source.write_bytes(silence(51))
    code, screen = one(tmp_path, source)
    assert code == -signal.SIGSEGV, screen
    assert told(tmp_path / "out") == {}
    code, screen = one(tmp_path, source)
    assert code == 0, screen
    assert "so on a cluster" in screen
    assert list(told(tmp_path / "out").values()) == ["model.crashed"]
