"""Windows over packed documents against torch's own convolution over each alone."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models.layout import Packed
from pipeline.models.strided import Windows

WINDOWS = st.builds(
    Windows, st.integers(1, 5), stride=st.integers(1, 4), dilation=st.integers(1, 3), padding=st.integers(0, 2)
)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.lists(st.integers(1, 15), min_size=1, max_size=5), WINDOWS)
def test_each_document_is_convolved_as_if_alone(lengths: list[int], windows: Windows) -> None:
    frames = torch.randn(sum(lengths), 3, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(4, 3, windows.size, generator=torch.Generator().manual_seed(1))
    alone = []
    for document in frames.split(lengths):
        count = windows.length(len(document))
        if count:
            settings = {"stride": windows.stride, "dilation": windows.dilation, "padding": windows.padding}
            alone.append(torch.nn.functional.conv1d(document.T[None], weight, **settings)[0].T)
            assert len(alone[-1]) == count
    seen, shorter = windows.gather(frames, Packed(tuple(lengths)))
    assert shorter.lengths == tuple(map(len, alone))
    packed = torch.einsum("nkd,odk->no", seen, weight)
    torch.testing.assert_close(packed, torch.cat([torch.empty(0, 4), *alone]), atol=1e-5, rtol=0)


def test_no_window_reads_a_neighbour() -> None:
    windows = Windows(3, stride=2, padding=1)
    frames = torch.ones(12, 2)
    frames[5:9] = torch.nan
    seen, shorter = windows.gather(frames, Packed((5, 4, 3)))
    assert shorter.lengths == (3, 2, 2)
    broken = seen.isnan().flatten(1).any(1)
    assert broken.tolist() == [False] * 3 + [True] * 2 + [False] * 2


def test_a_document_without_frames_stays_without() -> None:
    assert Windows(1, padding=2).length(0) == 0
    assert Windows(5).length(4) == 0
