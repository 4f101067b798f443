"""Whether a device still works: after some errors a process can do nothing more with its GPU."""

from __future__ import annotations

import torch


def usable(device: str) -> bool:
    """Whether this process can still compute there; a GPU without memory left is usable."""
    if device != "cuda":
        return True
    try:
        torch.ones(1, device=device).sum().item()
        torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        return True
    except RuntimeError:
        return False
    return True
