from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline import models
from pipeline.errors import UserError

MakeCheckpoint = Callable[..., Path]
HEAD, FFN = "lm_head.weight", "wav2vec2_bert.encoder.layers.1.ffn1.output_dense.weight"


def rewrite(folder: Path, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def test_a_missing_tensor_is_named_and_counted(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    rewrite(folder, lambda tensors: tensors.pop(FFN))
    with pytest.raises(UserError, match=rf"^{folder}: the weights lack {FFN} \(1 missing, 0 surplus\); config"):
        models.load(folder)


def test_surplus_tensors_are_named_and_counted(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    rewrite(folder, lambda tensors: tensors.update({f"x{i}\n": torch.zeros(1) for i in range(5)}))
    with pytest.raises(UserError, match=r"have unknown 'x0\\n', 'x1\\n', 'x2\\n', \.\.\. \(0 missing, 5 surplus\)"):
        models.load(folder)


def test_missing_and_surplus_are_told_together(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    rewrite(folder, lambda tensors: tensors.update(classifier=tensors.pop(HEAD)))
    with pytest.raises(UserError, match=rf"lack {HEAD} and have unknown classifier \(1 missing, 1 surplus\)"):
        models.load(folder)


def test_another_shape_is_named(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    rewrite(folder, lambda tensors: tensors.update({HEAD: torch.zeros(9, 16)}))
    message = rf"{HEAD} must have shape \(7, 16\) by config.json, and has \(9, 16\)"
    with pytest.raises(UserError, match=message):
        models.load(folder)


def test_quantised_weights_are_refused(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    rewrite(folder, lambda tensors: tensors.update({HEAD: torch.zeros(7, 16, dtype=torch.int8)}))
    with pytest.raises(UserError, match=f"{HEAD} must hold floating-point numbers, and holds torch.int8"):
        models.load(folder)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(make_checkpoint: MakeCheckpoint, share: float) -> None:
    folder = make_checkpoint()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(UserError, match=r"model.safetensors is not a whole safetensors file \(.*\); download it again"):
        models.load(folder)


def test_the_mask_embedding_may_be_missing_and_is_drawn_then(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    rewrite(folder, lambda tensors: tensors.pop("wav2vec2_bert.masked_spec_embed"))
    drawn = models.load(folder).encoder.spec_augment.embedding
    assert len(drawn.unique()) == len(drawn)
    assert ((drawn >= 0) & (drawn < 1)).all()


def test_shards_load_as_the_whole(make_checkpoint: MakeCheckpoint) -> None:
    whole = models.load(make_checkpoint()).state_dict()
    (make_checkpoint() / "model.safetensors").unlink()
    sharded = models.load(make_checkpoint(max_shard_size="10KB")).state_dict()
    assert whole.keys() == sharded.keys()
    assert all(torch.equal(whole[name], sharded[name]) for name in whole)


def test_a_running_model_does_not_see_its_file_change(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint()
    model = models.load(folder)
    before = model.head.weight.clone()
    with open(folder / "model.safetensors", "r+b") as stream:
        stream.write(b"\0" * (folder / "model.safetensors").stat().st_size)
    assert torch.equal(model.head.weight, before)
