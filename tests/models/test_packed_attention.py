"""Both forms of attention against the definition: softmax over the document, bias by distance."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.utils import counters

from pipeline.models import packed_attention
from pipeline.models.biases import DistanceBias, UnclippedBias
from pipeline.models.layout import Packed
from pipeline.models.packed_attention import Kernel, prepare

HEADS, CHANNELS = 2, 8


def by_definition(q: Tensor, k: Tensor, v: Tensor, bias: DistanceBias | None, lengths: tuple[int, ...]) -> Tensor:
    """One pair of frames at a time decides the score; float64."""
    q, k, v = q.double(), k.double(), v.double()
    documents = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    scores = torch.einsum("qhd,khd->hqk", q, k) * CHANNELS**-0.5
    if bias is not None:
        frames = torch.arange(len(q))
        distance = (frames[None] - frames[:, None]).clamp(-bias.left, bias.right)
        for head in range(HEADS):
            scores[head] += bias.table[:, head].double().gather(1, distance + bias.left)
    scores = scores.masked_fill(documents[:, None] != documents, -torch.inf)
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)


def draw(lengths: tuple[int, ...], *, left: int = 4, right: int = 2) -> tuple[Tensor, Tensor, Tensor, DistanceBias]:
    generator = torch.Generator().manual_seed(sum(lengths))
    q, k, v = torch.randn(3, sum(lengths), HEADS, CHANNELS, generator=generator)
    table = torch.randn(sum(lengths), HEADS, left + 1 + right, generator=generator)
    return q, k, v, DistanceBias(table, left, right)


def check(kernel: Kernel, lengths: tuple[int, ...], *, left: int = 4, right: int = 2) -> None:
    q, k, v, bias = draw(lengths, left=left, right=right)
    mixed = prepare(kernel, Packed(lengths))(q, k, v, bias)
    torch.testing.assert_close(mixed.double(), by_definition(q, k, v, bias, lengths), atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(0, 9), st.integers(0, 9))
def test_plain_is_the_definition(lengths: list[int], left: int, right: int) -> None:
    check("plain", tuple(lengths), left=left, right=right)


@pytest.mark.parametrize("lengths", [(7,), (90, 90, 90, 5), (200, 3), (1, 1, 1)])
def test_plain_cuts_runs_and_rows_without_a_seam(monkeypatch: pytest.MonkeyPatch, lengths: tuple[int, ...]) -> None:
    monkeypatch.setattr(packed_attention, "_SCORES", 2000)
    monkeypatch.setattr(packed_attention, "_ROWS", 3)
    check("plain", lengths)


def test_plain_without_a_bias() -> None:
    q, k, v, _ = draw((5, 9))
    mixed = prepare("plain", Packed((5, 9)))(q, k, v, None)
    torch.testing.assert_close(mixed.double(), by_definition(q, k, v, None, (5, 9)), atol=1e-5, rtol=0)


def unclipped(lengths: tuple[int, ...]) -> tuple[Tensor, UnclippedBias, DistanceBias]:
    """Queries, keys and values; a bias by any distance; and the same as a table, one product at a time."""
    generator = torch.Generator().manual_seed(sum(lengths))
    queries, reach = torch.randn(sum(lengths), HEADS, CHANNELS, generator=generator), max(lengths) - 1
    distances = torch.randn(2 * reach + 1, HEADS, CHANNELS, generator=generator)
    table = torch.einsum("qhd,rhd->qhr", queries, distances)
    qkv = torch.randn(3, sum(lengths), HEADS, CHANNELS, generator=generator)
    return qkv, UnclippedBias(queries, distances), DistanceBias(table, reach, reach)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.sampled_from([1, 2000]), st.sampled_from([1, 3]))
def test_a_bias_by_any_distance_is_the_definition(lengths: list[int], scores: int, rows: int) -> None:
    qkv, bias, table = unclipped(tuple(lengths))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_attention, "_SCORES", scores)
        patch.setattr(packed_attention, "_ROWS", rows)
        mixed = prepare("plain", Packed(tuple(lengths)))(*qkv, bias)
    torch.testing.assert_close(mixed.double(), by_definition(*qkv, table, tuple(lengths)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("lengths", [(1,), (90, 3), (128, 127), (129,), (300,)])
def test_its_whole_table_has_few_widths(lengths: tuple[int, ...]) -> None:
    _, bias, table = unclipped(lengths)
    whole = bias.whole()
    assert whole.table.shape[-1] in (255, 511, 1023)
    room = whole.left - table.left
    torch.testing.assert_close(whole.table[..., room : room + 2 * table.left + 1], table.table, atol=1e-5, rtol=0)


def test_it_never_holds_the_scores_of_a_long_document_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    length = 3000
    qkv = torch.randn(3, length, HEADS, CHANNELS)
    bias = UnclippedBias(qkv[0], torch.randn(2 * length - 1, HEADS, CHANNELS))
    made = []
    nearby = packed_attention._nearby
    monkeypatch.setattr(packed_attention, "_nearby", lambda *args: made.append(nearby(*args)) or made[-1])
    prepare("plain", Packed((length,)))(*qkv, bias)
    assert max(table.numel() for table, _ in made) < 3 * packed_attention._SCORES
    assert sum(columns.shape[0] for _, columns in made) == length


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # torch's own, on compiling
@pytest.mark.slow
def test_fused_is_the_definition_for_two_shapes_of_model_in_one_process(cxx_compiler: str) -> None:
    # Sizes that differ from call to call become symbols unless the models are kept apart; the compiler fails on them.
    check("fused", (130, 1, 2, 40), left=4, right=2)
    check("fused", (50, 90), left=3, right=1)
    for lengths in ((50, 3), (20, 9)):
        q, k, v, _ = draw(lengths)
        mixed = prepare("fused", Packed(lengths))(q, k, v, None)
        torch.testing.assert_close(mixed.double(), by_definition(q, k, v, None, lengths), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method`:DeprecationWarning")  # torch's own, on compiling
@pytest.mark.slow
def test_the_fused_form_is_compiled_three_times_and_then_takes_batches_of_any_size(cxx_compiler: str) -> None:
    before = counters["stats"]["unique_graphs"]
    # For the first size, for any, and for batches of one block.
    for lengths in ((300, 84), (500, 12), (100, 28)):
        check("fused", lengths, left=5, right=5)
    assert counters["stats"]["unique_graphs"] == before + 3
    for lengths in ((128,), (40, 40, 48), (256,), (1, 255), (640,), (90, 90, 90, 114), (7, 130, 400, 100, 3)):
        check("fused", lengths, left=5, right=5)
    assert counters["stats"]["unique_graphs"] == before + 3


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
def test_the_fused_mask_visits_every_pair_of_a_document_and_no_block_without_one(lengths: list[int]) -> None:
    layout = Packed(tuple(lengths))
    mask = packed_attention._document_mask(layout)
    same = layout.documents[:, None] == layout.documents
    num_blocks = mask.to_dense().shape[-1]
    padding = num_blocks * 128 - layout.num_frames
    pairs = torch.nn.functional.pad(same, (0, padding, 0, padding)).view(num_blocks, 128, num_blocks, 128)
    assert torch.equal(mask.to_dense()[0, 0].bool(), pairs.any(dim=3).any(dim=1))
    for row in range(num_blocks):
        full = mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist()
        for column in full:
            inside = same[row * 128 : row * 128 + 128, column * 128 : column * 128 + 128]
            assert inside.all()


def test_the_fused_form_says_that_it_drops_nothing() -> None:
    attend = prepare("fused", Packed((4,)))
    tensors = [torch.randn(4, 2, 8) for _ in range(3)]
    with pytest.raises(ValueError, match="kernel='plain'"):
        attend(*tensors, None, dropout=0.1)
