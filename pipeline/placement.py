"""Where the work runs: on which Ray, on which device, and so in which precision."""

from __future__ import annotations

import os
from typing import Literal, Protocol

from pipeline.config import RunConfig
from pipeline.errors import UserError

LOCAL = "local"
"""Address of a Ray that the run starts itself."""


def ray_address(address: str | None) -> str:
    """The Ray that is meant: the named one, RAY_ADDRESS, or a local one."""
    return address or os.environ.get("RAY_ADDRESS") or LOCAL


class AsksForDevice(Protocol):
    """What says where a model shall run."""

    @property
    def device(self) -> Literal["auto", "cuda", "cpu"]: ...  # noqa: D102


def choose_device(config: AsksForDevice, *, gpus: float, local: bool) -> Literal["cuda", "cpu"]:
    """Where the model runs.

    Raises:
        UserError: a GPU is asked for and there is none, or a cluster without GPUs was given without `--device cpu`:
            nobody wants a large archive on CPUs by mistake.
    """
    if config.device == "cpu":
        return "cpu"
    if gpus > 0:
        return "cuda"
    if config.device == "cuda":
        raise UserError("--device cuda: there is no GPU; use --device cpu, or --gpus N to ask an autoscaler for GPUs")
    if local:
        return "cpu"
    raise UserError("this cluster has no GPU; say --device cpu if CPUs are meant, or --gpus N to ask its autoscaler")


def choose_dtype(config: RunConfig, device: str) -> Literal["float32", "bfloat16", "float16", "int8"]:
    """What the model computes in on its device.

    Raises:
        UserError: 8 bits are asked for on a GPU.
    """
    if config.dtype == "auto":
        return "bfloat16" if device == "cuda" else "float32"
    if config.dtype == "int8" and device == "cuda":
        raise UserError("--dtype int8 is for CPUs; on a GPU take bfloat16, or --device cpu")
    return config.dtype
