"""The checkpoints of a run: found, checked and hashed once, on the driver."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline import models
from pipeline.audio.constants import FEATURE_SIZE, STACK
from pipeline.audio.extractor import FeatureExtractor
from pipeline.errors import UserError
from pipeline.models import checkpoint
from pipeline.models.sharing import encoder_fingerprint
from pipeline.models.wav2vec2_bert.xvector import XVectorModel
from pipeline.tasks import TASKS
from pipeline.text import Tokenizer

SPEECH_FRAMES: Final = Path(__file__).resolve().parent / "demo" / "speech-frames"
"""The checkpoint of frame labels that comes along, for what needs to know where speech is."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that can run."""

    path: Path
    name: str
    """Folder's name or hub id."""
    hash: str
    encoder: str
    """Hash of its encoder and settings of its features: equal ones share a pass."""
    num_bytes: int
    """Size of the weights."""
    shortest: int
    """Frames that its head needs to say anything."""


NEEDED: Mapping[str, str] = {
    "transcribe": "transcription needs a CTC head (Wav2Vec2BertForCTC)",
    "classify": "classification needs a head for it (Wav2Vec2BertForSequenceClassification)",
    "frames": "frame labels need a head for them (Wav2Vec2BertForAudioFrameClassification)",
    "embed": "speaker embeddings need an x-vector head (Wav2Vec2BertForXVector)",
}
"""How it is said which head a kind of task needs."""


def choose(path_or_hub_id: str, kind: str) -> Checkpoint:
    """Find a checkpoint and check that it can run a kind of task.

    Raises:
        UserError: there is none, or it is damaged, contradictory or of a model that we do not run.
    """
    if not path_or_hub_id:
        raise UserError("--model is needed: a checkpoint folder or hub id of Wav2Vec2-BERT")
    head = TASKS[kind].head
    path = checkpoint.resolve(path_or_hub_id)
    # On the meta device names and shapes are checked and nothing is read: mistakes show before any work.
    model = models.load(path, device="meta")
    config = model.config
    if config.head != head:
        said = config.document.get("architectures")
        raise UserError(f"{path_or_hub_id}: config.json says architectures={said}; {NEEDED[kind]}")
    if config.add_adapter:
        raise UserError(f"{path_or_hub_id}: config.json says add_adapter=true; the jobs take no adapter yet")
    features = _check_features(path_or_hub_id, path, config.feature_projection_input_dim)
    if head == "ctc":
        _check_vocabulary(path_or_hub_id, path, config.vocab_size)
    return Checkpoint(
        path=path.resolve(),
        name=path.resolve().name if Path(path_or_hub_id).expanduser().is_dir() else path_or_hub_id,
        hash=checkpoint.fingerprint(path),
        encoder=f"{encoder_fingerprint(path)}-{features.stride}-{features.padding_value:g}",
        num_bytes=sum(file.stat().st_size for file in checkpoint.weight_files(path, where=path_or_hub_id)),
        shortest=_shortest(model),
    )


def _check_vocabulary(where: str, folder: Path, num_classes: int) -> None:
    blank = Tokenizer.load(folder).blank_id
    if blank >= num_classes:
        raise UserError(
            f"{where}: the blank (pad token) of vocab.json is number {blank}, but the model's head has "
            f"{num_classes} classes (vocab_size in config.json); take both files from one checkpoint"
        )


def _shortest(model: models.Model) -> int:
    """Fewest frames of which the head says anything: a deviation takes two frames behind the layers of an x-vector."""
    if not isinstance(model, XVectorModel):
        return 1
    return next(frames for frames in itertools.count(1) if model.length(frames) >= 2)


def _check_features(where: str, folder: Path, input_dim: int) -> FeatureExtractor:
    """Refuse a checkpoint that was trained on other features: it would give plausible nonsense."""
    if input_dim != FEATURE_SIZE:
        raise UserError(
            f"{where}: config.json says feature_projection_input_dim={input_dim}; "
            f"Voxmill computes {FEATURE_SIZE} features a frame"
        )
    features = FeatureExtractor.load(folder, where=where)
    if features.stride != STACK:
        raise UserError(f"{where}: its feature extractor has stride={features.stride}; the job computes {STACK}")
    return features
