"""Training mode against transformers: where dropout stands, how much SpecAugment masks, that LayerDrop leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import _compute_mask_indices

from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES, Head
from pipeline.models.wav2vec2_bert.spec_augment import Stretches
from tests.parity.test_wav2vec2_bert_heads import MEANS, SHAPES, close, ours_of, theirs_of

DROPOUTS = (
    "hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout", "conformer_conv_dropout",
    "final_dropout",
)  # fmt: skip
LENGTHS = (21, 13)


def weaker(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In place of dropout: what it takes away is known, and differs with its share."""
    return x * (1 - p / 2) if training else x


@pytest.fixture
def known_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    attend = F.scaled_dot_product_attention

    def weaker_attention(*args: Any, dropout_p: float = 0.0, **settings: Any) -> Tensor:
        return weaker(attend(*args, **settings), dropout_p)

    monkeypatch.setattr(F, "dropout", weaker)
    monkeypatch.setattr(F, "scaled_dot_product_attention", weaker_attention)


@settings(
    deadline=None,
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    st.sampled_from(sorted(ARCHITECTURES)),
    SHAPES,
    st.fixed_dictionaries(dict.fromkeys(DROPOUTS, st.sampled_from([0.0, 0.2, 0.5]))),
)
def test_dropout_stands_where_transformers_has_it(
    known_dropout: None, head: Head, shape: dict[str, Any], shares: dict[str, float]
) -> None:
    shape["add_adapter"] &= head not in ("frames", "classes")
    shape["use_intermediate_ffn_before_adapter"] &= shape["add_adapter"]
    theirs = theirs_of(head, **shape, **shares, layerdrop=0.0, apply_spec_augment=False).train()
    ours = ours_of(theirs).train()
    documents = torch.randn(sum(LENGTHS), 10, generator=torch.Generator().manual_seed(1)).split(LENGTHS)
    name = {"none": "hidden_state", "xvector": "embeddings"}.get(head, "logits")
    with torch.inference_mode():
        output = getattr(ours.forward_packed(torch.cat(documents), Packed(LENGTHS)), name)
        alone = [getattr(theirs(document[None]), MEANS[name])[0] for document in documents]
    close(output, torch.stack(alone) if head in ("classes", "xvector") else torch.cat(alone))


def test_dropout_is_for_training_alone() -> None:
    ours = ours_of(theirs_of("ctc", num_hidden_layers=2, **dict.fromkeys(DROPOUTS, 0.5)))
    features, layout = torch.randn(30, 10), Packed((30,))

    def two_logits() -> tuple[Tensor, Tensor]:
        return ours.forward_packed(features, layout).logits, ours.forward_packed(features, layout).logits

    assert torch.equal(*two_logits())
    ours.train()
    assert not torch.equal(*two_logits())
    torch.manual_seed(3)
    once = ours.forward_packed(features, layout).logits
    torch.manual_seed(3)
    assert torch.equal(once, ours.forward_packed(features, layout).logits)


@pytest.mark.parametrize(("share", "length", "least"), [(0.05, 10, 2), (0.3, 5, 0), (0.65, 7, 1), (0.0, 5, 2)])
@pytest.mark.parametrize("size", [4, 20, 21, 200])
def test_as_much_is_masked_as_in_transformers(share: float, length: int, least: int, size: int) -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - theirs draw from it
    draws = 2000
    ours = torch.stack([Stretches(share, length, least).draw(size) for _ in range(draws)])
    if share == 0 or size < length:  # theirs is not asked, or refuses
        assert not ours.any()
        return
    drawn = [_compute_mask_indices((1, size), share, length, min_masks=least) for _ in range(draws)]
    theirs = torch.tensor([row for rows in drawn for row in rows.tolist()]).double()
    # The deviation of a mean of so many draws is below 0.012 at each place.
    assert (ours.double().mean(0) - theirs.mean(0)).abs().max() < 0.06
    assert abs(ours.double().mean() - theirs.mean()) < 0.01


def stretches_of(masked: Tensor) -> list[int]:
    """Lengths of the runs of true."""
    edges = torch.diff(
        masked.int(), prepend=torch.zeros(1, dtype=torch.int32), append=torch.zeros(1, dtype=torch.int32)
    )
    return (torch.where(edges == -1)[0] - torch.where(edges == 1)[0]).tolist()


def test_masks_are_whole_stretches_inside_a_document() -> None:
    torch.manual_seed(0)
    for _ in range(200):
        runs = stretches_of(Stretches(0.2, 6, 1).draw(41))
        assert runs
        assert min(runs) >= 6


def augmented(**fields: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What SpecAugment makes of ones; the layout is of 40 and 25 frames; and its vector."""
    model = ours_of(theirs_of("ctc", num_hidden_layers=1, **fields)).train()
    layout = Packed((40, 25))
    augment = model.encoder.spec_augment
    return augment(torch.ones(65, 32), layout), layout.documents, getattr(augment, "embedding", torch.zeros(32))


def test_masked_frames_are_the_learned_vector_in_every_document() -> None:
    torch.manual_seed(0)
    out, documents, vector = augmented(mask_time_prob=0.2, mask_time_length=4, mask_time_min_masks=1)
    changed = (out != 1).any(-1)
    assert torch.equal(out[changed], vector.expand(int(changed.sum()), -1))
    assert documents[changed].unique().tolist() == [0, 1]
    assert 8 <= changed.sum() <= 20


def test_masked_channels_are_zero_over_a_whole_document_and_others_in_the_next() -> None:
    torch.manual_seed(0)
    fields = {"mask_time_prob": 0.0, "mask_feature_prob": 0.3, "mask_feature_length": 4, "mask_feature_min_masks": 1}
    out, _, _ = augmented(**fields)
    first, second = out[:40], out[40:]
    assert first.eq(first[0]).all()
    assert second.eq(second[0]).all()
    assert set(out.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first[0], second[0])


def test_spec_augment_may_be_left_out() -> None:
    out, _, _ = augmented(mask_time_prob=0.5, apply_spec_augment=False)
    assert out.eq(1).all()


def test_the_learned_vector_gets_a_gradient() -> None:
    model = ours_of(theirs_of("ctc", num_hidden_layers=1, mask_time_prob=0.3)).train().requires_grad_(True)
    model.forward_packed(torch.randn(60, 10), Packed((60,))).logits.sum().backward()
    assert model.encoder.spec_augment.embedding.grad.abs().max() > 0


def test_layerdrop_leaves_blocks_out_as_often_as_it_says() -> None:
    model = ours_of(theirs_of("none", num_hidden_layers=3, layerdrop=0.25, apply_spec_augment=False)).train()
    features, layout = torch.randn(3, 10), Packed((3,))
    torch.manual_seed(0)
    left_out = 0
    with torch.inference_mode():
        for _ in range(400):
            states = list(model.encoder.states(features, layout))
            left_out += sum(torch.equal(*pair) for pair in zip(states, states[1:], strict=False))
    # 1,200 draws: the deviation is 15.
    assert abs(left_out - 300) < 60
    model.eval()
    states = list(model.encoder.states(features, layout))
    assert not any(torch.equal(*pair) for pair in zip(states, states[1:], strict=False))
