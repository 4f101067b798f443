"""The padded door, and that nothing depends on what else is in the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline import models
from pipeline.models.layout import Packed
from pipeline.models.wav2vec2_bert.heads import CtcModel

LENGTHS = [150, 1, 2, 77, 201, 77, 33]


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> CtcModel:
    return models.load(checkpoint)


@pytest.fixture(scope="module")
def documents() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(length, 160, generator=generator) for length in LENGTHS]


def test_alone_padded_and_packed_agree(model: CtcModel, documents: list[torch.Tensor]) -> None:
    padded = model(torch.nn.utils.rnn.pad_sequence(documents, batch_first=True), LENGTHS)
    packed = model.forward_packed(torch.cat(documents), Packed(tuple(LENGTHS)))
    for row, (document, logits, hidden) in enumerate(
        zip(documents, packed.logits.split(LENGTHS), packed.hidden_state.split(LENGTHS), strict=True)
    ):
        alone = model(document[None], [len(document)])
        torch.testing.assert_close(logits, alone.logits[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(padded.logits[row, : len(document)], alone.logits[0], atol=1e-4, rtol=0)
        torch.testing.assert_close(hidden, alone.hidden_state[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("neighbour", [float("inf"), float("nan"), 1e30])
def test_a_broken_neighbour_does_no_harm(model: CtcModel, documents: list[torch.Tensor], neighbour: float) -> None:
    broken = torch.full((40, 160), neighbour)
    packed = model.forward_packed(torch.cat([documents[0], broken, documents[3]]), Packed((150, 40, 77))).logits
    clean = model.forward_packed(torch.cat([documents[0], documents[3]]), Packed((150, 77))).logits
    torch.testing.assert_close(torch.cat([packed[:150], packed[190:]]), clean, atol=1e-4, rtol=0)


def test_padding_is_not_read_and_comes_back_as_zero(model: CtcModel) -> None:
    features = torch.randn(2, 30, 160)
    features[0, 20:] = float("nan")
    output = model(features, torch.tensor([20, 30]))
    assert output.logits.shape == (2, 30, 18)
    assert output.hidden_state.shape == (2, 30, 144)
    assert output.logits.isfinite().all()
    assert output.logits[0, 20:].eq(0).all()
    assert output.hidden_state[0, 20:].eq(0).all()


@pytest.mark.parametrize("lengths", [[0, 7, 0], [0, 0, 0]])
def test_recordings_without_frames_are_allowed(model: CtcModel, lengths: list[int]) -> None:
    features = torch.randn(3, 7, 160)
    logits = model(features, lengths).logits
    assert logits.shape == (3, 7, 18)
    for row, length in enumerate(lengths):
        assert logits[row, length:].eq(0).all()
        assert logits[row, :length].ne(0).all()


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((7, 160), [7], r"features must be \(B, T, C\), lengths \(B,\); got \(7, 160\) and \(1,\)"),
        ((2, 7, 160), [7], r"got \(2, 7, 160\) and \(1,\)"),
        ((1, 7, 160), [8], r"lengths must be 0 to 7, the frames given, got \[8\]"),
        ((1, 7, 160), [-1], r"lengths must be 0 to 7, the frames given, got \[-1\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    model: CtcModel, shape: tuple[int, ...], lengths: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        model(torch.randn(shape), lengths)


def test_a_layout_of_other_frames_is_refused(model: CtcModel) -> None:
    with pytest.raises(ValueError, match="the layout has 5 frames, got features of 4"):
        model.forward_packed(torch.randn(4, 160), Packed((2, 3)))
