"""Which checkpoints are said to hold the same encoder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline import models
from pipeline.errors import UserError
from pipeline.models.packed_attention import Kernel
from pipeline.models.sharing import encoder_fingerprint

MakeCheckpoint = Callable[..., Path]
HEADS: tuple[models.Head, ...] = ("ctc", "frames", "classes", "xvector", "none")


@pytest.fixture
def family(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> dict[str, Path]:
    """One encoder under every head."""
    source = make_checkpoint()
    found = {}
    for head in HEADS:
        found[head] = tmp_path / head
        models.save(models.load(source, head=head), found[head])
    return found


def change(folder: Path, name: str) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors[name] = tensors[name] + 1e-3
    save_file(tensors, file, metadata={"format": "pt"})


def test_heads_on_one_encoder_share_it(family: dict[str, Path]) -> None:
    found = {head: encoder_fingerprint(folder) for head, folder in family.items()}
    assert len(set(found.values())) == 1
    assert all(len(each) == 64 for each in found.values())


def test_the_head_and_the_training_mask_do_not_count_and_any_other_weight_does(family: dict[str, Path]) -> None:
    before = encoder_fingerprint(family["ctc"])
    change(family["ctc"], "lm_head.weight")
    change(family["ctc"], "wav2vec2_bert.masked_spec_embed")
    assert encoder_fingerprint(family["ctc"]) == before
    change(family["ctc"], "wav2vec2_bert.encoder.layers.1.ffn2.output_dense.bias")
    assert encoder_fingerprint(family["ctc"]) != before


@pytest.mark.parametrize("field", [{"layer_norm_eps": 1e-3}, {"right_max_position_embeddings": 4}])
def test_what_shapes_the_encoder_counts(family: dict[str, Path], edit_config: Callable[..., None], field) -> None:
    before = encoder_fingerprint(family["frames"])
    edit_config(family["frames"], id2label={"0": "x", "1": "y"}, hidden_dropout=0.3)
    assert encoder_fingerprint(family["frames"]) == before
    edit_config(family["frames"], **field)
    assert encoder_fingerprint(family["frames"]) != before


def test_the_precision_in_which_values_are_stored_does_not_count(family: dict[str, Path], tmp_path: Path) -> None:
    half = models.load(family["ctc"], dtype=torch.bfloat16)
    models.save(half, tmp_path / "half")
    models.save(half.float(), tmp_path / "single")
    assert encoder_fingerprint(tmp_path / "half") == encoder_fingerprint(tmp_path / "single")
    assert encoder_fingerprint(tmp_path / "half") != encoder_fingerprint(family["ctc"])


def test_shards_and_one_file_are_the_same(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    whole = shutil.copytree(make_checkpoint(), tmp_path / "whole")
    shutil.rmtree(tmp_path / "tiny")
    shards = make_checkpoint(max_shard_size="20KB")
    assert len(list(shards.glob("*.safetensors"))) > 1
    assert encoder_fingerprint(shards) == encoder_fingerprint(whole)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x04\0\0\0\0\0\0\0{nul"])
def test_a_damaged_file_is_named(family: dict[str, Path], content: bytes) -> None:
    (family["ctc"] / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"model.safetensors is not a whole safetensors file.* download it again"):
        encoder_fingerprint(family["ctc"])


@pytest.mark.parametrize("head", ["frames", "classes", "xvector"])
def test_a_head_on_a_loaded_encoder_is_the_checkpoint_itself(family: dict[str, Path], head: models.Head) -> None:
    first = models.load(family["ctc"])
    shared = models.load(family[head], encoder=first.encoder)
    assert shared.encoder is first.encoder
    features = torch.randn(1, 60, 160, generator=torch.Generator().manual_seed(0))
    alone = models.load(family[head])
    torch.testing.assert_close(shared(features, [60]).logits, alone(features, [60]).logits, rtol=0, atol=0)
    assert not any(parameter.is_meta for parameter in shared.parameters())


def test_kernels_are_the_first_models(family: dict[str, Path]) -> None:
    kernel: Kernel = "plain"
    first = models.load(family["ctc"], kernel=kernel)
    assert models.load(family["frames"], encoder=first.encoder).encoder.kernel == kernel
