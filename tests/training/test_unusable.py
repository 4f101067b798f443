"""How short audio may be for its text: as PyTorch's CTC has it."""

from __future__ import annotations

import pytest
import torch

from pipeline.training.unusable import frames_of


@pytest.mark.parametrize("tokens", [(1,), (1, 2, 3), (1, 1), (2, 2, 2, 1, 1), (1, 2, 1, 2)])
def test_with_one_frame_less_there_is_no_alignment(tokens: tuple[int, ...]) -> None:
    def loss(frames: int) -> float:
        scores = torch.zeros(frames, 1, 4).log_softmax(-1)
        sizes = torch.tensor([frames]), torch.tensor([len(tokens)])
        return torch.nn.functional.ctc_loss(scores, torch.tensor([tokens]), *sizes).item()

    assert loss(frames_of(tokens)) < float("inf")
    if frames_of(tokens) > 1:
        assert loss(frames_of(tokens) - 1) == float("inf")
