"""The checkpoint of a run: found, checked and hashed once, on the driver."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import models
from pipeline.audio.constants import FEATURE_SIZE, STACK
from pipeline.audio.extractor import FeatureExtractor
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
    model_config = models.load(path, device="meta").config
    num_classes = model_config.vocab_size
    if model_config.head != "ctc":
        raise UserError(
            f"{path_or_hub_id}: config.json says architectures={model_config.document.get('architectures')}; "
            "transcription needs a CTC head (Wav2Vec2BertForCTC)"
        )
    if model_config.add_adapter:
        raise UserError(f"{path_or_hub_id}: config.json says add_adapter=true; transcription takes no adapter yet")
    _check_features(path_or_hub_id, path, model_config.feature_projection_input_dim)
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


def _check_features(where: str, folder: Path, input_dim: int) -> None:
    """Refuse a checkpoint that was trained on other features: it would give plausible nonsense."""
    if input_dim != FEATURE_SIZE:
        raise UserError(
            f"{where}: config.json says feature_projection_input_dim={input_dim}; "
            f"Voxmill computes {FEATURE_SIZE} features a frame"
        )
    stride = FeatureExtractor.load(folder, where=where).stride
    if stride != STACK:
        raise UserError(f"{where}: its feature extractor has stride={stride}; the job computes {STACK}")
