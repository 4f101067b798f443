"""Checkpoints of every head, and another head than a checkpoint has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2BertConfig

from pipeline import models
from pipeline.errors import UserError
from pipeline.models import Head
from pipeline.models.wav2vec2_bert.kinds import ARCHITECTURES

HEADS = sorted(get_args(Head))
SIZES: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
SIZES |= {"vocab_size": 5, "tdnn_dim": (6, 4), "tdnn_kernel": (2, 1), "tdnn_dilation": (1, 1), "num_labels": 3}


@pytest.fixture
def make(tmp_path: Path) -> Callable[[Head], Path]:
    """Return a function head -> folder of a random checkpoint with it."""

    def make(head: Head) -> Path:
        getattr(transformers, ARCHITECTURES[head])(Wav2Vec2BertConfig(**SIZES)).save_pretrained(tmp_path / head)
        return tmp_path / head

    return make


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("head", HEADS)
def test_the_head_is_that_of_the_checkpoint_and_is_saved_unchanged(make: Callable[[Head], Path], head: Head) -> None:
    folder = make(head)
    model = models.load(folder)
    assert model.config.head == head
    models.save(model, folder / "saved")
    ours, theirs = tensors(folder / "saved"), tensors(folder)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert json.loads((folder / "saved/config.json").read_text()) == json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("before", ["none", "ctc", "classes"])
def test_another_head_is_made_new_on_the_same_encoder(make: Callable[[Head], Path], before: Head, head: Head) -> None:
    folder = make(before)
    torch.manual_seed(0)
    model = models.load(folder, head=head)
    assert model.config.head == head
    theirs = {name.removeprefix("wav2vec2_bert."): tensor for name, tensor in tensors(folder).items()}
    models.save(model, folder / "saved")
    for name, tensor in tensors(folder / "saved").items():
        if name.startswith("wav2vec2_bert.") or head == "none":
            assert torch.equal(tensor, theirs[name.removeprefix("wav2vec2_bert.")])
        elif before != head and tensor.ndim > 1:
            assert 0.01 < tensor.std() < 0.03
    architecture = getattr(transformers, ARCHITECTURES[head])
    _, report = architecture.from_pretrained(folder / "saved", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_a_checkpoint_without_a_head_may_have_the_prefix(make: Callable[[Head], Path]) -> None:
    folder = make("none")
    prefixed = {f"wav2vec2_bert.{name}": tensor for name, tensor in tensors(folder).items()}
    save_file(prefixed, folder / "model.safetensors")
    assert models.load(folder).config.head == "none"
    assert models.load(folder, head="ctc").config.head == "ctc"


def test_a_tensor_that_is_missing_from_the_encoder_is_named_though_the_head_is_new(
    make: Callable[[Head], Path],
) -> None:
    folder = make("ctc")
    save_file({name: t for name, t in tensors(folder).items() if "ffn1_layer_norm" not in name}, folder / "x")
    (folder / "x").replace(folder / "model.safetensors")
    with pytest.raises(UserError, match=r"lack wav2vec2_bert.encoder.layers.0.ffn1_layer_norm.bias, .* \(2 missing, 0"):
        models.load(folder, head="xvector")


def test_another_head_is_never_made_unasked(make: Callable[[Head], Path]) -> None:
    folder = make("xvector")
    save_file({name: t for name, t in tensors(folder).items() if "classifier" not in name}, folder / "x")
    (folder / "x").replace(folder / "model.safetensors")
    for head in (None, "xvector"):
        with pytest.raises(UserError, match=r"lack classifier.bias, classifier.weight \(2 missing, 0 surplus\)"):
            models.load(folder, head=head)


def test_a_ctc_head_needs_a_vocabulary(make: Callable[[Head], Path]) -> None:
    folder = make("none")
    (folder / "config.json").write_text(
        json.dumps({**json.loads((folder / "config.json").read_text()), "vocab_size": None})
    )
    assert models.load(folder).config.vocab_size == 0
    with pytest.raises(UserError, match=r"vocab_size=null \(must be a whole number, at least 1\)"):
        models.load(folder, head="ctc")


def test_heads_that_do_not_exist_are_refused(make: Callable[[Head], Path]) -> None:
    with pytest.raises(ValueError, match="head must be one of none, ctc, frames, classes, xvector, got lm"):
        models.load(make("ctc"), head="lm")  # type: ignore[arg-type]
