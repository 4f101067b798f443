from __future__ import annotations

import numpy as np
import pytest
import torch

from pipeline.models.transfer import transfer_to

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("storage", [np.float32, np.float16])
def test_frames_go_there_and_results_come_back(device: str, storage: type) -> None:
    transfer = transfer_to(torch.device(device))
    parts = [np.arange(6, dtype=storage).reshape(2, 3), np.ones((4, 3), storage)]
    frames = transfer.receive(transfer.stage(parts))
    assert frames.device.type == device
    (doubled, tokens) = transfer.send((frames * 2, frames.sum(1).to(torch.int32))).wait()
    np.testing.assert_array_equal(doubled, np.concatenate(parts) * 2)
    np.testing.assert_array_equal(tokens, np.concatenate(parts).sum(1))
    assert (doubled.dtype, tokens.dtype) == (storage, np.int32)


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_which_numpy_lacks_comes_back_as_float32(device: str) -> None:
    outputs = (torch.ones(3, dtype=torch.bfloat16, device=device),)
    (ones,) = transfer_to(torch.device(device)).send(outputs).wait()
    assert ones.dtype == np.float32
    assert ones.tolist() == [1, 1, 1]
