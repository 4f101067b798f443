"""Tensors from safetensors files into a model and back, every mismatch named."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.models.checkpoint import WEIGHTS, weight_files
from pipeline.overdue import moved

_NAMED = 3
"""How many tensors a message names before it only counts."""


@dataclass(frozen=True, slots=True)
class Stored:
    """How one of the model's parameters lies in a checkpoint."""

    name: str
    shape: tuple[int, ...]
    """As many values as the parameter has, in the same order."""


def fill(
    model: nn.Module,
    folder: Path,
    *,
    where: str,
    stored: Mapping[str, Stored],
    optional: Callable[[str], bool],
    fresh: Mapping[str, Tensor],
    dtype: torch.dtype,
    device: torch.device,
    shared: str | None = None,
) -> None:
    """Give a model made on the meta device its parameters, one after the other: memory holds them once.

    Args:
        model: every parameter of it is replaced.
        folder: the checkpoint.
        where: what messages call the checkpoint.
        stored: how each parameter lies in the files, by its name in the model.
        optional: which stored names may be missing, and are drawn from 0 to 1 then, or surplus, and are left out then.
        fresh: parameters, by their names in the model, that are not looked for in the files.
        dtype: of the parameters; the files may hold another floating type.
        device: of the parameters.
        shared: beginning of the names in the model of parameters that stay on the meta device: another's will
            take their place.

    Raises:
        UserError: for missing, surplus, misshapen or quantised tensors and damaged, missing or pickled files.
    """
    places = _places(weight_files(folder, where=where), where=where)
    wanted = {parameter: entry for parameter, entry in stored.items() if parameter not in fresh}
    _check_names({entry.name for entry in wanted.values()}, places, optional=optional, where=where)
    state = {parameter: tensor.to(device, dtype) for parameter, tensor in fresh.items()}
    for parameter, entry in wanted.items():
        if shared and parameter.startswith(shared):
            continue
        target = model.get_parameter(parameter).shape
        if entry.name not in places:
            # As transformers does with the one that may be: what stands for masked frames in training.
            state[parameter] = torch.rand(target).to(device, dtype)
            continue
        tensor = _read(places[entry.name], entry.name, where=where)
        _check_tensor(entry, tensor, where=where)
        # A copy, not a view of the mapped file: rewriting the file must not change a running model.
        state[parameter] = tensor.to(device, dtype, copy=True).reshape(target)
    model.load_state_dict(state, assign=True, strict=shared is None)


def names(folder: Path, *, where: str) -> frozenset[str]:
    """Find the names of all tensors of a checkpoint."""
    return frozenset(_places(weight_files(folder, where=where), where=where))


def read(folder: Path, name: str, *, where: str) -> Tensor:
    """Read one tensor of a checkpoint."""
    return _read(_places(weight_files(folder, where=where), where=where)[name], name, where=where)


def write(model: nn.Module, folder: Path, *, stored: Mapping[str, Stored]) -> None:
    """Write a model's parameters as one `model.safetensors`, whole or not at all."""
    tensors = {
        entry.name: model.get_parameter(parameter).detach().reshape(entry.shape).cpu().contiguous()
        for parameter, entry in stored.items()
    }
    draft = folder / f".{WEIGHTS}.draft"
    save_file(tensors, draft, metadata={"format": "pt"})
    os.replace(draft, folder / WEIGHTS)


def _places(files: Collection[Path], *, where: str) -> dict[str, Path]:
    """File of each tensor."""
    places: dict[str, Path] = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as opened:
                places.update(dict.fromkeys(opened.keys(), file))
        except SafetensorError as error:
            raise _damaged(file, error, where=where) from error
    return places


def _read(file: Path, name: str, *, where: str) -> Tensor:
    # Opened for each tensor: the pages of a mapped file count as this process's memory until it is closed.
    try:
        with safe_open(file, framework="pt") as opened:
            tensor: Tensor = opened.get_tensor(name)
            # Of a mapped file only now the tensor before has been read for certain.
            moved()
            return tensor
    except SafetensorError as error:
        raise _damaged(file, error, where=where) from error


def _damaged(file: Path, error: SafetensorError, *, where: str) -> UserError:
    reason = " ".join(str(error).split())
    return UserError(f"{where}: {file.name} is not a whole safetensors file ({reason}); download it again.")


def _check_names(
    wanted: Collection[str], found: Collection[str], *, optional: Callable[[str], bool], where: str
) -> None:
    missing = sorted(name for name in set(wanted) - set(found) if not optional(name))
    surplus = sorted(name for name in set(found) - set(wanted) if not optional(name))
    if not missing and not surplus:
        return
    faults = [f"{verb} {_list(names)}" for verb, names in (("lack", missing), ("have unknown", surplus)) if names]
    raise UserError(
        f"{where}: the weights {' and '.join(faults)} ({len(missing)} missing, {len(surplus)} surplus); "
        "config.json and weights must be of one model."
    )


def _list(names: list[str]) -> str:
    shown = (name if name.isprintable() else ascii(name) for name in names[:_NAMED])
    return ", ".join(shown) + (", ..." if len(names) > _NAMED else "")


def _check_tensor(entry: Stored, tensor: Tensor, *, where: str) -> None:
    if tuple(tensor.shape) != entry.shape:
        raise UserError(
            f"{where}: {entry.name} must have shape {entry.shape} by config.json, and has {tuple(tensor.shape)}; "
            "config.json and weights must be of one model."
        )
    if not tensor.is_floating_point():
        raise UserError(
            f"{where}: {entry.name} must hold floating-point numbers, and holds {tensor.dtype}; "
            "Voxmill reads no quantised weights."
        )
