"""Losses and gradients of one training step, dropout 0, against transformers on random checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.models import losses
from pipeline.models.layout import Packed
from pipeline.models.outputs import ClassOutput, FrameOutput
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES, Head
from pipeline.models.wav2vec2_bert.model import Model
from pipeline.models.wav2vec2_bert.names import stored
from tests.parity.test_wav2vec2_bert_heads import SHAPES, ours_of, theirs_of

LABELLED = sorted(set(ARCHITECTURES) - {"none"})


def tokens_of(lengths: list[int]) -> list[list[int]]:
    """Few enough for each document's frames, even after an adapter."""
    return [[1 + (row + place) % 6 for place in range(max(1, length // 8))] for row, length in enumerate(lengths)]


def our_loss(head: Head, model: Model, features: Tensor, lengths: list[int], labels: Any) -> Tensor:
    output = model.forward_packed(features, Packed(tuple(lengths)))
    if head == "ctc":
        return losses.ctc_loss(output, labels, model.config)
    if head == "frames":
        return losses.frame_loss(output, labels)
    if head == "classes":
        return losses.class_loss(output, labels)
    return losses.speaker_loss(output, model.class_vectors, labels)


def their_loss(head: Head, model: Any, documents: list[Tensor], labels: Any) -> Tensor:
    """Of each document alone, joined as the batch's would be: theirs depends on padding."""
    if head == "ctc":
        alone = [model(d[None], labels=torch.tensor([row])).loss for d, row in zip(documents, labels, strict=True)]
        total = torch.stack(alone).sum()
        return total / len(alone) if model.config.ctc_loss_reduction == "mean" else total
    if head == "frames":
        hot = torch.nn.functional.one_hot(labels, 3).split([len(document) for document in documents])
        alone = [model(d[None], labels=row[None]).loss * len(d) for d, row in zip(documents, hot, strict=True)]
        return torch.stack(alone).sum() / len(labels)
    alone = [model(d[None], labels=row[None]).loss for d, row in zip(documents, labels, strict=True)]
    return torch.stack(alone).mean()


@settings(deadline=None, max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(LABELLED),
    SHAPES,
    st.lists(st.integers(12, 30), min_size=1, max_size=4),
    st.sampled_from(["sum", "mean"]),
)
def test_loss_and_gradients(head: Head, shape: dict[str, Any], lengths: list[int], reduction: str) -> None:
    shape["add_adapter"] &= head not in ("frames", "classes")
    shape["use_intermediate_ffn_before_adapter"] &= shape["add_adapter"]
    theirs = theirs_of(head, ctc_loss_reduction=reduction, **shape)
    ours = ours_of(theirs)
    for model in (theirs, ours):
        model.requires_grad_(True)
    random = torch.Generator().manual_seed(1)
    features = torch.randn(sum(lengths), 10, generator=random)
    labels: Any = tokens_of(lengths)
    if head != "ctc":
        labels = torch.randint(3, (sum(lengths) if head == "frames" else len(lengths),), generator=random)
    loss = our_loss(head, ours, features, lengths, labels)
    expected = their_loss(head, theirs, list(features.split(lengths)), labels)
    assert (loss - expected).abs() <= 1e-4 * max(1.0, float(expected.detach().abs()))
    loss.backward()
    expected.backward()
    close_gradients(ours, theirs, head)


def close_gradients(ours: Model, theirs: Any, head: Head) -> None:
    named = dict(theirs.named_parameters())
    largest = max(float(p.grad.abs().max()) for p in named.values() if p.grad is not None)
    for name, entry in stored(ours, head).items():
        grad, expected = ours.get_parameter(name).grad, named[entry.name].grad
        if expected is None:
            assert grad is None or not grad.any(), name
            continue
        assert grad is not None, name
        bound = 1e-4 * max(float(expected.abs().max()), 1e-3 * largest)
        assert float((grad - expected.view(grad.shape)).abs().max()) <= bound, name


def test_ctc_counts_an_impossible_alignment_as_zero_only_where_asked() -> None:
    for zero, expected in ((True, 0.0), (False, float("inf"))):
        model = ours_of(theirs_of("ctc", num_hidden_layers=1, ctc_zero_infinity=zero))
        output = model.forward_packed(torch.zeros(2, 10), Packed((2,)))
        assert float(losses.ctc_loss(output, [[1, 2, 3]], model.config)) == expected


def test_ctc_names_a_token_that_is_none() -> None:
    model = ours_of(theirs_of("ctc", num_hidden_layers=1))
    output = model.forward_packed(torch.zeros(9, 10), Packed((9,)))
    with pytest.raises(ValueError, match="not the blank 0, got 0"):
        losses.ctc_loss(output, [[1, 0]], model.config)
    with pytest.raises(ValueError, match="tokens of 2 documents for logits of 1"):
        losses.ctc_loss(output, [[1], [1]], model.config)


def test_frames_without_a_label_count_nothing() -> None:
    logits = torch.randn(6, 3)
    output = FrameOutput(logits, logits, (6,))
    classes = torch.tensor([0, 1, 2, losses.IGNORED, losses.IGNORED, losses.IGNORED])
    half = FrameOutput(logits[:3], logits[:3], (3,))
    assert losses.frame_loss(output, classes) == losses.frame_loss(half, classes[:3])


def test_labels_of_a_recording_say_which_loss_is_meant() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    several = losses.class_loss(ClassOutput(logits), torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    assert several == torch.nn.BCEWithLogitsLoss()(logits, torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    assert losses.class_loss(ClassOutput(logits[:, :1]), torch.tensor([2.0, 3.0])) == 4.0
    with pytest.raises(ValueError, match="labels must be"):
        losses.class_loss(ClassOutput(logits), torch.tensor([2.0, 3.0]))
