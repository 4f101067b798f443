"""The checkpoint on every node: by its hash, whatever lies where it should be."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline import models, overdue
from pipeline.engine import shipping
from pipeline.engine.shipping import Shipped
from pipeline.errors import StorageFault
from pipeline.models import checkpoint
from pipeline.models.checkpoint import SUFFIXES, fingerprint
from tests.jobs.corpora import MODEL


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for temporary files of a node."""
    (tmp_path / "node").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))
    return tmp_path / "node"


@pytest.fixture
def shipped(model: Path, node: Path, ray_cluster: None) -> Shipped:
    """A checkpoint on its way to a node that does not have it."""
    (model / "evil.py").write_text("raise SystemExit")
    (model / "pytorch_model.bin").write_bytes(b"pickled")
    sent = shipping.ship(model, fingerprint(model), nodes=2)
    shutil.rmtree(model)
    return sent


def test_on_one_machine_nothing_is_sent(model):
    shipped = shipping.ship(model, fingerprint(model), nodes=1)
    assert shipped.files is None
    assert shipped.local() == model


def test_a_checkpoint_is_taken_by_its_hash_and_never_by_its_place_alone(model):
    shipped = shipping.ship(model, fingerprint(model), nodes=1)
    (model / "vocab.json").write_text("{}")
    with pytest.raises(StorageFault, match="model: is not on this node, or differs from the driver's copy"):
        shipped.local()


def test_a_node_without_the_folder_unpacks_data_and_no_code(shipped, node):
    folder = shipped.local()
    assert folder.parent == node
    assert fingerprint(folder) == shipped.fingerprint
    assert {file.suffix for file in folder.iterdir()} <= set(SUFFIXES)
    assert models.load(folder).config.vocab_size > 0
    assert shipped.local() == folder


def closed_to_all(monkeypatch, path):
    """Root may read all, so that modes close nothing to it."""
    look = checkpoint.fingerprint

    def fingerprint(folder):
        if folder == path:
            raise PermissionError(13, "Permission denied", str(folder))
        return look(folder)

    monkeypatch.setattr(shipping.checkpoint, "fingerprint", fingerprint)


def test_a_checkpoint_that_is_closed_to_a_worker_comes_as_it_was_sent(shipped, node, model, monkeypatch):
    model.mkdir()
    closed_to_all(monkeypatch, model)
    folder = shipped.local()
    assert folder.parent == node
    assert folder.name.startswith(f"voxmill-{os.geteuid()}-")


def test_a_checkpoint_that_is_closed_to_the_worker_of_one_machine_is_a_fault(model, monkeypatch):
    sent = shipping.ship(model, fingerprint(model), nodes=1)
    closed_to_all(monkeypatch, model)
    with pytest.raises(StorageFault, match="model: is not on this node"):
        sent.local()


def test_what_a_killed_worker_had_unpacked_goes_with_the_next(shipped, node):
    left = node / "voxmill-unpacking-dead"
    left.mkdir()
    (left / "lock").touch()
    (left / "model.safetensors").write_bytes(b"half")
    os.utime(left, (0, 0))
    assert [each.name for each in node.iterdir()] == [left.name]
    folder = shipped.local()
    assert list(node.iterdir()) == [folder]


def test_a_folder_that_takes_no_files_is_a_fault(shipped, node):
    (node / f"voxmill-{os.geteuid()}-{shipped.fingerprint[:16]}").touch()
    with pytest.raises(StorageFault, match="the checkpoint cannot be unpacked there"):
        shipped.local()


def test_what_an_unpacking_that_died_left_behind_is_completed(shipped, node):
    folder = shipped.local()
    (folder / "model.safetensors").unlink()
    (folder / "config.json").write_text("{}")
    assert fingerprint(shipped.local()) == shipped.fingerprint


def test_what_is_sent_is_what_the_file_holds_and_is_seen_to_move(model, monkeypatch):
    file, before = model / "model.safetensors", overdue._last_step
    monkeypatch.setattr(shipping, "_BLOCK", file.stat().st_size // 3)
    assert shipping._content(file) == file.read_bytes()
    assert overdue._last_step - before >= 3


def test_actors_of_one_node_may_unpack_at_the_same_time(shipped):
    with ThreadPoolExecutor(8) as pool:
        folders = {*pool.map(lambda _: shipped.local(), range(8))}
    assert len(folders) == 1
    assert fingerprint(folders.pop()) == shipped.fingerprint


def test_checkpoints_are_known_by_their_hashes(shipped, tmp_path):
    other = Path(shutil.copytree(MODEL, tmp_path / "other"))
    (other / "vocab.json").write_text("{}")
    here = shipping.ship(other, fingerprint(other), nodes=1)
    assert shipped.fingerprint != here.fingerprint
    folders = shipping.local_folders([shipped, here])
    assert folders == {shipped.fingerprint: shipped.local(), here.fingerprint: other}


def test_a_copy_that_does_not_arrive_as_it_was_sent_is_refused(shipped):
    spoiled = Shipped(shipped.path, "0" * 64, shipped.files)
    with pytest.raises(StorageFault, match=r"voxmill-\d+-0000000000000000: the checkpoint does not arrive there"):
        spoiled.local()
