"""Where a training stands, on disk: weights, optimiser and position, whole or not at all; safetensors and JSON only.

There is no state of random generators: whatever is drawn is drawn from seed, epoch, example and step.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.errors import UserError

FOLDER = "_training"
"""Below the output; removed when the training has ended well."""
_PREFIX = "checkpoint-"
_WEIGHTS, _AVERAGE, _OPTIMIZER, _BEST = (f"{n}.safetensors" for n in ("model", "average", "optimizer", "best"))
_STATE = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a training has come."""

    step: int = 0
    """Steps of the optimiser."""
    epoch: int = 0
    batch: int = 0
    """Batches of that epoch that are done."""
    best_step: int | None = None
    """Where validation was best."""
    best: float | None = None
    """Its score there."""
    seconds: float = 0.0
    """Spent on the way."""

    def at(self, **changes: Any) -> Position:
        """Further on."""
        return replace(self, **changes)


def save(
    folder: Path,
    position: Position,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    average: dict[str, Tensor] | None,
    asked: str,
) -> None:
    """Write a checkpoint and then remove the ones before it; a kill at any moment leaves the last whole one.

    Args:
        folder: of all checkpoints.
        position: how far it is.
        model: its weights are written by our names.
        optimizer: AdamW over parameters of the model.
        average: running mean of the weights, if there is one.
        asked: hash of what is trained on what, which a later run must share.
    """
    draft, final = folder / f".draft-{position.step}", folder / f"{_PREFIX}{position.step:09}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file(_plain(model.state_dict()), draft / _WEIGHTS)
    save_file(_moments(model, optimizer), draft / _OPTIMIZER)
    if average is not None:
        save_file(_plain(average), draft / _AVERAGE)
    (draft / _STATE).write_text(json.dumps({"asked": asked, **asdict(position)}, indent=1) + "\n", encoding="utf-8")
    for file in draft.iterdir():
        _sync(file)
    shutil.rmtree(final, ignore_errors=True)
    os.rename(draft, final)
    _sync(folder)
    for older in _checkpoints(folder)[:-1]:
        shutil.rmtree(older)


def save_best(folder: Path, weights: dict[str, Tensor]) -> None:
    """Keep the weights that validated best."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{_BEST}"
    save_file(_plain(weights), draft)
    _sync(draft)
    os.replace(draft, folder / _BEST)


def load_best(folder: Path) -> dict[str, Tensor]:
    """The weights that validated best."""
    weights: dict[str, Tensor] = load_file(folder / _BEST)
    return weights


def resume(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, *, average: dict[str, Tensor] | None, asked: str
) -> Position | None:
    """Go back to the last checkpoint, if there is one: fills model, optimiser and average.

    Raises:
        UserError: the checkpoint is of another training, or damaged.
    """
    there = _checkpoints(folder)
    if not there:
        return None
    last = there[-1]
    try:
        state = json.loads((last / _STATE).read_text(encoding="utf-8"))
        if state.pop("asked") != asked:
            raise UserError(
                f"{folder.parent}: holds the beginning of another training (other data, model or options); "
                "name another OUTPUT, or forget it with --restart"
            )
        model.load_state_dict(load_file(last / _WEIGHTS))
        _restore(model, optimizer, load_file(last / _OPTIMIZER))
        if average is not None:
            for name, tensor in load_file(last / _AVERAGE).items():
                average[name].copy_(tensor)
        return Position(**state)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{last}: is damaged ({error}); delete it, or begin anew with --restart") from error


def found(output: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return bool(_checkpoints(output / FOLDER))


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_PREFIX}*"))


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimiser knows of each parameter, by `parameter/kind`."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{kind}": value.detach().cpu().contiguous()
        for parameter, state in optimizer.state.items()
        for kind, value in state.items()
    }


def _restore(model: nn.Module, optimizer: torch.optim.Optimizer, moments: dict[str, Tensor]) -> None:
    for key, value in moments.items():
        name, _, kind = key.rpartition("/")
        parameter = model.get_parameter(name)
        # Steps are counted on the CPU, as AdamW does.
        optimizer.state[parameter][kind] = value if kind == "step" else value.to(parameter.device)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
