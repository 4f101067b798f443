"""Small random checkpoints, made by transformers and saved as it saves them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC
from transformers.utils import logging as transformers_logging

from tests.needs import unavailable

transformers_logging.disable_progress_bar()

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 7,
    "conv_depthwise_kernel_size": 5,
    "left_max_position_embeddings": 6,
    "right_max_position_embeddings": 3,
}

MakeCheckpoint = Callable[..., Path]


@pytest.fixture
def make_checkpoint(tmp_path: Path) -> MakeCheckpoint:
    """Return a function (config fields, shard size) -> folder of a random checkpoint."""

    def make(max_shard_size: str = "5GB", **fields: Any) -> Path:
        torch.manual_seed(0)
        model = Wav2Vec2BertForCTC(Wav2Vec2BertConfig(**{**TINY, **fields}))
        folder = tmp_path / "tiny"
        model.save_pretrained(folder, max_shard_size=max_shard_size)
        return folder

    return make


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and on a busy machine threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def edit_config() -> Callable[..., None]:
    """Return a function (folder, fields) that changes fields of a checkpoint's config.json."""

    def edit(folder: Path, **fields: Any) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))

    return edit


@pytest.fixture
def cxx_compiler() -> str:
    """Command of the C++ compiler that compiled attention needs on a CPU."""
    found = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not found:
        unavailable("no C++ compiler for compiled attention")
    return found
