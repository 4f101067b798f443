from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert import convolution
from pipeline.models.wav2vec2_bert.convolution import CausalDepthwise


def depthwise(channels: int, kernel_size: int) -> CausalDepthwise:
    module = CausalDepthwise(channels, kernel_size).requires_grad_(False)
    torch.nn.init.normal_(module.weight, generator=torch.Generator().manual_seed(0))
    return module


@settings(deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.sampled_from([1, 3, 7, 15]), st.integers(1, 100))
def test_each_document_is_filtered_as_if_alone(lengths: list[int], kernel_size: int, tile: int) -> None:
    module = depthwise(3, kernel_size)
    frames = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution, "_TILE", tile)
        packed = module(frames, Packed(tuple(lengths)))
    for document, ours in zip(frames.split(lengths), packed.split(lengths), strict=True):
        for frame in range(len(document)):
            total = torch.zeros(3)
            for back in range(min(kernel_size, frame + 1)):
                total += document[frame - back] * module.weight[:, kernel_size - 1 - back]
            torch.testing.assert_close(ours[frame], total, atol=1e-5, rtol=0)


def test_no_document_sees_its_neighbour_at_all() -> None:
    module, layout = depthwise(4, 9), Packed((5, 6, 7))
    frames = torch.randn(18, 4)
    disturbed = frames.clone()
    disturbed[5:11] = 1e30
    before, after = module(frames, layout), module(disturbed, layout)
    assert torch.equal(before[:5], after[:5])
    assert torch.equal(before[11:], after[11:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_both_forms_agree(dtype: torch.dtype) -> None:
    module = depthwise(6, 31).to(dtype)
    frames, layout = torch.randn(90, 6, dtype=dtype), Packed((50, 40))
    ours = module(frames, layout)
    theirs = module.requires_grad_(True)(frames, layout)  # gradients are conv1d's
    assert ours.dtype == theirs.dtype == dtype
    torch.testing.assert_close(ours, theirs.detach())


def test_half_precision_is_summed_in_full() -> None:
    module = depthwise(2, 31).to(torch.bfloat16)
    frames = torch.randn(64, 2, dtype=torch.bfloat16)
    exact = module.double()(frames.double(), Packed((64,)))
    ours = module.to(torch.bfloat16)(frames, Packed((64,)))
    torch.testing.assert_close(ours, exact.to(torch.bfloat16), rtol=2**-7, atol=1e-3)
