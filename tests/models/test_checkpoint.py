from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from pipeline import models, overdue
from pipeline.errors import UserError
from pipeline.models import checkpoint as checkpoints
from pipeline.models.sharing import encoder_fingerprint

MakeCheckpoint = Callable[..., Path]


def test_a_folder_is_itself(tmp_path: Path) -> None:
    assert checkpoints.resolve(tmp_path) == tmp_path
    assert checkpoints.resolve(str(tmp_path)) == tmp_path


def test_a_hub_id_downloads_data_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def download(hub_id: str, *, allow_patterns: list[str]) -> str:
        asked.update(hub_id=hub_id, allow_patterns=allow_patterns)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert checkpoints.resolve("owner/name") == tmp_path
    assert asked == {"hub_id": "owner/name", "allow_patterns": ["*.json", "*.safetensors", "*.txt"]}


def test_a_hub_that_cannot_be_reached_is_one_line(tmp_path: Path) -> None:
    # In a process of its own: the hub's client reads its environment when it is imported.
    code = "from pipeline.models import checkpoint; checkpoint.resolve('owner/name')"
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("pipeline.errors.UserError: owner/name: no such folder here, and the hub did not give it")


@pytest.mark.parametrize("given", ["/no/such/folder", "./models/foo", "a/b/c", "s3://bucket/model"])
def test_what_can_be_no_hub_id_is_refused_without_asking(given: str) -> None:
    with pytest.raises(UserError, match=f"^{given}: no such folder; a checkpoint is a local folder or a hub id"):
        checkpoints.resolve(given)


def test_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(UserError, match="model.safetensors: a checkpoint is a folder, and this is a file"):
        checkpoints.resolve(file)


def test_the_fingerprint_is_of_what_changes_output(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    folder = make_checkpoint()
    (folder / "vocab.json").write_text('{"a": 0}')
    first = checkpoints.fingerprint(folder)
    assert len(first) == 64
    (folder / "README.md").write_text("changes nothing")
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert checkpoints.fingerprint(moved) == first


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "vocab.json", "processor_config.json", "tokenizer_config.json"]
)
def test_the_fingerprint_sees_each_file(make_checkpoint: MakeCheckpoint, name: str) -> None:
    folder = make_checkpoint()
    file = folder / name
    if not file.exists():
        file.write_bytes(b"{ }")
    first = checkpoints.fingerprint(folder)
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    assert checkpoints.fingerprint(folder) != first


def test_the_fingerprint_sees_every_shard(make_checkpoint: MakeCheckpoint) -> None:
    folder = make_checkpoint(max_shard_size="10KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 1
    first = checkpoints.fingerprint(folder)
    shards[-1].write_bytes(shards[-1].read_bytes() + b" ")
    assert checkpoints.fingerprint(folder) != first


def test_a_large_checkpoint_is_seen_to_move_while_it_is_hashed_and_loaded(
    make_checkpoint: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_checkpoint()
    size = (folder / "model.safetensors").stat().st_size
    monkeypatch.setattr(checkpoints, "_HASH_BLOCK", size // 5)
    before = overdue._last_step
    checkpoints.fingerprint(folder)
    assert overdue._last_step - before >= 5
    for read in (encoder_fingerprint, models.load):
        before = overdue._last_step
        read(folder)
        assert overdue._last_step - before >= 20, "once a tensor"


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^models/foo: no config.json; a checkpoint folder holds config.json, model.s"):
        checkpoints.read_config(tmp_path, where="models/foo")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "config.json is not JSON"), ("[1]", "config.json must hold one JSON object, got list")],
)
def test_a_damaged_config_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"^foo: {message}"):
        checkpoints.read_config(tmp_path, where="foo")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "pytorch_model-00001-of-00002.bin"])
def test_pickles_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    message = f"^foo: {name} is pickled.*AutoModelForCTC.from_pretrained"
    with pytest.raises(UserError, match=message):
        checkpoints.weight_files(tmp_path, where="foo")


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^foo: no model.safetensors and no model.safetensors.index.json"):
        checkpoints.weight_files(tmp_path, where="foo")


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../else.safetensors"}}, "names '../else.safetensors'; shards must lie in the"),
        ({"weight_map": {"a": "1.safetensors", "b": "1.safetensors"}}, "names 1.safetensors.*1 of 1 shards missing"),
        ({}, "must map tensors to files under weight_map"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path: Path, index: dict[str, Any], message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=f"^foo: model.safetensors.index.json {message}"):
        checkpoints.weight_files(tmp_path, where="foo")
