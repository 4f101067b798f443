"""The checkpoint of a run: found, checked and hashed once, on the driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import models
from pipeline.errors import UserError
from pipeline.models import checkpoint
from pipeline.text import Tokenizer


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that can run."""

    path: Path
    name: str
    """Folder's name or hub id."""
    hash: str
    num_bytes: int
    """Size of the weights."""


def choose(path_or_hub_id: str) -> Checkpoint:
    """Find a checkpoint and check that it can run.

    Raises:
        UserError: there is none, or it is damaged, contradictory or of a model that we do not run.
    """
    if not path_or_hub_id:
        raise UserError("--model is needed: a checkpoint folder or hub id of Wav2Vec2-BERT with a CTC head")
    path = checkpoint.resolve(path_or_hub_id)
    # On the meta device names and shapes are checked and nothing is read: mistakes show before any work.
    num_classes = models.load(path, device="meta").config.vocab_size
    blank = Tokenizer.load(path).blank_id
    if blank >= num_classes:
        raise UserError(
            f"{path_or_hub_id}: the blank (pad token) of vocab.json is number {blank}, but the model's head has "
            f"{num_classes} classes (vocab_size in config.json); take both files from one checkpoint"
        )
    return Checkpoint(
        path=path.resolve(),
        name=path.resolve().name if Path(path_or_hub_id).expanduser().is_dir() else path_or_hub_id,
        hash=checkpoint.fingerprint(path),
        num_bytes=sum(file.stat().st_size for file in checkpoint.weight_files(path, where=path_or_hub_id)),
    )
