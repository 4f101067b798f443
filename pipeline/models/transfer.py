"""How frames reach the model's device and results come back.

Letters: N frames of a batch, C features of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sending:
    """Results on their way to the host."""

    outputs: tuple[Tensor, ...]
    arrived: torch.cuda.Event | None

    def wait(self) -> tuple[np.ndarray, ...]:
        """Give them as arrays once they are there."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return tuple(output.numpy() for output in self.outputs)


class Transfer(Protocol):
    """Both ways between the host and a device; none of the three waits for a GPU."""

    def stage(self, parts: Sequence[np.ndarray]) -> Tensor:
        """Lay arrays of (frames, C) end to end and start their copy to the device: (N, C)."""
        ...

    def receive(self, staged: Tensor) -> Tensor:
        """Make what is computed from now on wait for that copy."""
        ...

    def send(self, outputs: Sequence[Tensor]) -> Sending:
        """Start the copy of results to the host."""
        ...


def transfer_to(device: torch.device) -> Transfer:
    """Choose by the kind of device."""
    return CudaTransfer(device) if device.type == "cuda" else HostTransfer()


class HostTransfer:
    """For a model on the CPU: nothing travels."""

    def stage(self, parts: Sequence[np.ndarray]) -> Tensor:
        """Lay arrays of (frames, C) end to end: (N, C)."""
        return torch.from_numpy(np.concatenate(parts))

    def receive(self, staged: Tensor) -> Tensor:
        """Give them back."""
        return staged

    def send(self, outputs: Sequence[Tensor]) -> Sending:
        """Give them back, half precision as NumPy knows it."""
        return Sending(tuple(map(_known_to_numpy, outputs)), arrived=None)


class CudaTransfer:
    """For a model on a GPU: pinned memory, and copies in on a stream of their own, beside the computation.

    Pinned memory comes from torch's cache, which gives no block out again before the copies from it are done.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def stage(self, parts: Sequence[np.ndarray]) -> Tensor:
        """Gather arrays of (frames, C) in pinned memory and start their copy to the device: (N, C)."""
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
        pinned = torch.empty(shape, dtype=torch.from_numpy(np.empty(0, parts[0].dtype)).dtype, pin_memory=True)
        np.concatenate(parts, out=pinned.numpy())
        with torch.cuda.stream(self._copying):
            return pinned.to(self._device, non_blocking=True)

    def receive(self, staged: Tensor) -> Tensor:
        """Make what is computed from now on wait for that copy."""
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copying)
        # The memory is the copying stream's, which must not use it again while the model reads it.
        staged.record_stream(computing)
        return staged

    def send(self, outputs: Sequence[Tensor]) -> Sending:
        """Start the copy of results to pinned memory."""
        sent = []
        for output in map(_known_to_numpy, outputs):
            sent.append(torch.empty(output.shape, dtype=output.dtype, pin_memory=True))
            sent[-1].copy_(output, non_blocking=True)
        arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
        arrived.record(torch.cuda.current_stream(self._device))
        return Sending(tuple(sent), arrived)


def _known_to_numpy(output: Tensor) -> Tensor:
    return output.float() if output.dtype == torch.bfloat16 else output
