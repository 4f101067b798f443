"""The two doors, load and save."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Wav2Vec2BertForCTC

from pipeline import models
from pipeline.errors import UserError
from pipeline.models import compiled, int8, loading, prepacked
from pipeline.models.wav2vec2_bert.kinds import Head
from pipeline.models.wav2vec2_bert.model import Model

MakeCheckpoint = Callable[..., Path]


def test_importing_models_loads_neither_ray_nor_transformers() -> None:
    code = "import sys, pipeline.models.predict; print({'ray', 'transformers', 'fsspec'} & {*sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_the_doors_open_on_first_use_and_nothing_else_is_there() -> None:
    assert dir(models) == ["Head", "Model", "compile_blocks", "load", "prepack", "quantise", "save"]
    functions = [compiled.compile_blocks, loading.load, prepacked.prepack, int8.quantise, loading.save]
    assert [getattr(models, name) for name in dir(models)] == [Head, Model, *functions]
    with pytest.raises(AttributeError, match="module 'pipeline.models' has no attribute 'laod'"):
        models.laod  # noqa: B018


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_model_has_the_dtype_asked_for(checkpoint: Path, dtype: torch.dtype) -> None:
    model = models.load(checkpoint, dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    output = model(torch.randn(1, 9, 160), [9])
    assert output.logits.dtype == dtype
    assert output.logits.isfinite().all()


def test_what_is_saved_is_the_checkpoint_bit_for_bit(checkpoint: Path, tmp_path: Path) -> None:
    models.save(models.load(checkpoint), tmp_path / "saved")
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (tmp_path / "saved", checkpoint))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    configs = [json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "saved", checkpoint)]
    assert configs[0] == configs[1]
    assert [file.name for file in (tmp_path / "saved").iterdir() if file.name.startswith(".")] == []


def test_what_is_saved_loads_in_transformers(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint()
    models.save(models.load(folder), tmp_path / "saved")
    ours, theirs = (Wav2Vec2BertForCTC.from_pretrained(path).state_dict() for path in (tmp_path / "saved", folder))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_model_is_saved_in_its_own_dtype(checkpoint: Path, tmp_path: Path) -> None:
    models.save(models.load(checkpoint, dtype=torch.bfloat16), tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}


def test_the_message_names_the_checkpoint_as_it_was_given(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_checkpoint()
    shutil.move(folder / "config.json", folder / "configuration.json")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match="^tiny: no config.json"):
        models.load("tiny")
