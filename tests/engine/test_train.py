"""Trainings on Ray: the same course as without it, several workers as one, on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import models, tuning
from pipeline.engine.train import _absolute
from pipeline.errors import UserError
from pipeline.training import config, curve
from tests.tones import write_bare

ROOT = Path(__file__).resolve().parents[2]
OPTIONS: dict[str, Any] = {
    "from_scratch": True, "task": "classify", "epochs": 4, "frame_budget": 150, "learning_rate": 3e-3, "threads": 1,
    "validation_share": 0.25, "noise": 0.5, "speeds": "0.9,1,1.1", "device": "cpu",
}  # fmt: skip
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with nothing but a config.json."""
    # Without dropout and masks two workers see what one does.
    return write_bare(tmp_path / "bare", hidden_dropout=0.0, conformer_conv_dropout=0.0, mask_time_prob=0.0)


def losses(output: Path) -> list[float]:
    return [row.loss for row in curve.read(output / curve.CSV)]


def train(tones: Path, output: Path, bare: Path, **given: Any) -> list[str]:
    said: list[str] = []
    chosen = config.make({**OPTIONS, "model": str(bare), **given})
    fitted = tuning.run([str(tones)], str(output), chosen, say=said.append)
    assert fitted.state == "ended"
    return said


@pytest.mark.slow
def test_ray_changes_nothing(tones: Path, bare: Path, tmp_path: Path, ray_cluster: None) -> None:
    train(tones, tmp_path / "here", bare, without_ray=True)
    said = train(tones, tmp_path / "ray", bare)
    assert losses(tmp_path / "ray") == pytest.approx(losses(tmp_path / "here"), abs=1e-3)
    assert len(losses(tmp_path / "ray")) > 8
    assert any("validation" in line for line in said)
    assert models.load(tmp_path / "ray").config.labels == ("high", "low")


@pytest.mark.slow
def test_two_workers_have_the_same_weights_and_learn(
    tones: Path, bare: Path, tmp_path: Path, ray_cluster: None
) -> None:
    train(tones, tmp_path / "two", bare, workers=2, epochs=8)
    found = losses(tmp_path / "two")
    assert len(found) > 8
    assert sum(found[-3:]) < sum(found[:3])


@pytest.mark.slow
def test_a_mistake_in_a_worker_is_the_users_one_line(
    tones: Path, bare: Path, tmp_path: Path, ray_cluster: None
) -> None:
    train(tones, tmp_path / "out", bare, epochs=1, without_ray=True)
    chosen = config.make({**OPTIONS, "model": str(bare), "epochs": 2})
    with pytest.raises(UserError, match="^/.*holds the result of another training"):
        tuning.run([str(tones)], str(tmp_path / "out"), chosen, say=lambda words: None)
    with pytest.raises(UserError, match="--workers 99: the cluster has 4 CPUs"):
        train(tones, tmp_path / "out", bare, workers=99)


@pytest.mark.slow
def test_a_killed_job_goes_on_as_if_nothing_had_been(tones: Path, bare: Path, tmp_path: Path) -> None:
    train(tones, tmp_path / "whole", bare, without_ray=True, epochs=20)
    command = [
        sys.executable, ROOT / "jobs/finetune.py", tones, tmp_path / "killed", "--model", bare, "--num-cpus", "2",
        "--checkpoint-every", "0s",
    ]  # fmt: skip
    for name, value in {**OPTIONS, "epochs": 20}.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    first = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(losses(tmp_path / "killed")) < 10:
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = len(losses(tmp_path / "killed"))
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goes on at step" in done.stdout
    assert losses(tmp_path / "killed") == pytest.approx(losses(tmp_path / "whole"), abs=1e-3)
    assert 10 <= before < len(losses(tmp_path / "whole"))


def test_workers_are_given_places_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [_absolute(place) for place in ("model", "shards/*.tar", "owner/name", "s3://b/x.jsonl", "")] == [
        str(tmp_path / "model"), str(tmp_path / "shards/*.tar"), "owner/name", "s3://b/x.jsonl", "",
    ]  # fmt: skip
