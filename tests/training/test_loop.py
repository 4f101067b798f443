"""A training that was stopped goes on as if nothing had been; the weights that are kept are the best."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import UserError
from pipeline.training import checkpoints, curve, loop
from tests.training.conftest import Train

AUGMENTED: dict[str, Any] = {
    "speeds": "0.9,1,1.1", "noise": 0.5, "reverb": 0.3, "filters": 0.5, "gain": 6, "checkpoint_every": 0,
    "average": 0.9,
}  # fmt: skip


class Killed(BaseException):
    """The end of a process, at any place."""


def losses(output: Path) -> list[float]:
    return [row.loss for row in curve.read(output / curve.CSV)]


@pytest.mark.parametrize("more", [{}, {"variants": 2}, {"accumulate": 2}, {"loaders": 2}], ids=str)
def test_a_killed_training_goes_on_as_if_nothing_had_been(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    train(tmp_path / "whole", task="transcribe", **AUGMENTED, **more)
    steps = len(losses(tmp_path / "whole"))
    assert steps >= 6
    real, left = loop.Trainer._step, [5, 2, 10_000]

    def dying(self: Any, *args: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        return real(self, *args)

    monkeypatch.setattr(loop.Trainer, "_step", dying)
    for _ in range(2):
        with pytest.raises(Killed):
            train(tmp_path / "killed", task="transcribe", **AUGMENTED, **more)
        left.pop(0)
    said: list[str] = []
    assert train(tmp_path / "killed", task="transcribe", said=said, **AUGMENTED, **more).state == "ended"
    assert any(line.startswith("goes on at step") for line in said)
    assert losses(tmp_path / "killed") == pytest.approx(losses(tmp_path / "whole"), abs=1e-3)
    assert [row.step for row in curve.read(tmp_path / "killed/curve.csv")] == list(range(1, steps + 1))
    whole, killed = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.allclose(whole[name], killed[name], atol=1e-5) for name in whole)


def test_a_training_stops_when_its_time_is_up_and_goes_on(tmp_path: Path, train: Train) -> None:
    stopped = train(tmp_path / "out", task="classify", stop_after=1e-6)
    assert (stopped.state, stopped.steps) == ("stopped", 1)
    assert not (tmp_path / "out/config.json").exists()
    assert train(tmp_path / "out", task="classify").state == "ended"


def test_another_training_does_not_go_on_from_a_checkpoint(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "out", task="classify", stop_after=1e-6)
    with pytest.raises(UserError, match="holds the beginning of another training.*--restart"):
        train(tmp_path / "out", task="classify", seed=5)


def test_the_weights_that_validated_best_are_kept(tmp_path: Path, train: Train) -> None:
    fitted = train(tmp_path / "out", task="classify", epochs=12, learning_rate=1e-2)
    judged = [row for row in curve.read(tmp_path / "out/curve.csv") if row.score is not None]
    assert len(judged) == 12
    assert fitted.best == max(row.score for row in judged if row.score is not None)
    first_best = next(row.step for row in judged if row.score == fitted.best)
    assert fitted.best_step == first_best


def test_steps_without_a_finite_gradient_are_not_taken_and_many_end_the_training(
    tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.Trainer._loss
    monkeypatch.setattr(loop.Trainer, "_loss", lambda self, items, done: real(self, items, done) * math.nan)
    with pytest.raises(UserError, match="20 steps in a row had no finite gradient.*--learning-rate"):
        train(tmp_path / "out", task="classify", epochs=50)


def test_a_fraction_of_an_epoch_is_its_first_batches(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "whole", task="classify", epochs=1)
    train(tmp_path / "half", task="classify", epochs=0.5)
    whole, half = (curve.read(tmp_path / name / "curve.csv") for name in ("whole", "half"))
    assert len(half) == math.ceil(len(whole) / 2)


def test_a_damaged_checkpoint_is_named(tmp_path: Path, train: Train) -> None:
    train(tmp_path / "out", task="classify", stop_after=1e-6)
    (found,) = (tmp_path / "out" / checkpoints.FOLDER).glob("checkpoint-*")
    (found / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(UserError, match="is damaged .*--restart"):
        train(tmp_path / "out", task="classify")


@pytest.mark.parametrize("task", ["transcribe", "classify", "frames", "embed"])
def test_half_precision_computes_and_single_precision_is_saved(tmp_path: Path, train: Train, task: str) -> None:
    # Times 30, cosines of so few speakers make a loss near 0 or far above, of which no share can be said.
    given: dict[str, Any] = {"task": task, "epochs": 1, "background": "silence", "scale": 1.0, "validation_share": 0}
    train(tmp_path / "half", dtype="bfloat16", **given)
    train(tmp_path / "single", **given)
    half, single = (curve.read(tmp_path / name / "curve.csv")[0].loss for name in ("half", "single"))
    assert half == pytest.approx(single, rel=0.05)
    assert half != single
    saved = load_file(tmp_path / "half/model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
