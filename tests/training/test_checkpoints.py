"""Checkpoints: whole or not there, without pickles, the last one only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.training import checkpoints
from pipeline.training.checkpoints import Position


def trained(seed: int, steps: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def test_what_is_saved_comes_back_and_steps_go_on_alike(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    average = {name: tensor * 2 for name, tensor in model.state_dict().items()}
    checkpoints.save(tmp_path, Position(step=3, epoch=1, best=0.5), model, optimizer, average=average, asked="x")
    other, its_optimizer = trained(1, steps=0)
    found = {name: torch.zeros_like(tensor) for name, tensor in average.items()}
    position = checkpoints.resume(tmp_path, other, its_optimizer, average=found, asked="x")
    assert position == Position(step=3, epoch=1, best=0.5)
    assert all(torch.equal(found[name], average[name]) for name in average)
    for each, its in ((model, optimizer), (other, its_optimizer)):
        its.zero_grad()
        each(torch.ones(1, 3)).sum().backward()
        its.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_only_the_last_stays_and_nothing_is_pickled(tmp_path: Path) -> None:
    model, optimizer = trained(0)
    for step in (1, 2, 30):
        checkpoints.save(tmp_path, Position(step=step), model, optimizer, average=None, asked="x")
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000000030"]
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors", ".json"}


def test_a_kill_while_writing_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, optimizer = trained(0)
    checkpoints.save(tmp_path, Position(step=1), model, optimizer, average=None, asked="x")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(tmp_path, Position(step=2), model, optimizer, average=None, asked="x")
    position = checkpoints.resume(tmp_path, model, optimizer, average=None, asked="x")
    assert position is not None
    assert position.step == 1
