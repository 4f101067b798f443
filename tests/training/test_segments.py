"""Stretches of hidden states: of the right documents, lengths and places."""

from __future__ import annotations

import torch

from pipeline.models.layout import Packed
from pipeline.training.segments import equal_segments, random_segments

LAYOUT = Packed((10, 3, 7))
HIDDEN = torch.arange(20.0)[:, None]


def test_random_segments_lie_within_their_documents_and_are_repeated_by_the_seed() -> None:
    for seed in range(20):
        torch.manual_seed(seed)
        parts, cut = random_segments(HIDDEN, LAYOUT, shortest=2, longest=5)
        torch.manual_seed(seed)
        assert torch.equal(parts, random_segments(HIDDEN, LAYOUT, shortest=2, longest=5)[0])
        for part, (first, last) in zip(parts.split(list(cut.lengths)), [(0, 9), (10, 12), (13, 19)], strict=True):
            assert 2 <= len(part) <= 5
            assert first <= part[0].item()
            assert part[-1].item() <= last
            assert torch.equal(part[:, 0], torch.arange(part[0].item(), part[0].item() + len(part)))


def test_equal_segments_lie_side_by_side_and_short_documents_are_whole() -> None:
    parts, cut, owners = equal_segments(HIDDEN, LAYOUT, length=4)
    assert cut.lengths == (4, 4, 3, 4)
    assert owners == [0, 0, 1, 2]
    assert parts[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16]
