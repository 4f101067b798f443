"""Random checkpoints of the full width, with every head, on one encoder or on several; and what they are run on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import soundfile
import torch

from pipeline import models
from pipeline.demo import checkpoint_folder

FILES = ("vocab.json", "tokenizer_config.json", "processor_config.json")
LABELS = {"0": "silence", "1": "speech"}


def checkpoints(folder: Path, *, layers: int, encoders: int) -> list[dict[str, Path]]:
    """For each encoder: kind of task -> checkpoint."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    found = []
    for number in range(encoders):
        torch.manual_seed(number)
        fields: dict[str, Any] = {"num_hidden_layers": layers, "vocab_size": 18, "pad_token_id": 0, "id2label": LABELS}
        source = folder / f"encoder-{number}"
        transformers.Wav2Vec2BertForCTC(transformers.Wav2Vec2BertConfig(**fields)).save_pretrained(source)
        heads: dict[str, models.Head] = {"classify": "classes", "frames": "frames", "embed": "xvector"}
        for name in FILES:
            shutil.copy(checkpoint_folder() / name, source / name)
        made = {"transcribe": source}
        for kind, head in heads.items():
            made[kind] = folder / f"{kind}-{number}"
            models.save(models.load(source, head=head), made[kind])
            shutil.copy(source / "processor_config.json", made[kind])
        found.append(made)
    return found


def corpus(speech: Path, folder: Path, *, minutes: float) -> tuple[int, float]:
    """LibriSpeech test-other, repeated until there is so much; how many recordings, and their seconds."""
    folder.mkdir(parents=True)
    files = sorted((speech / "librispeech/test-other").glob("*.flac"))
    count, seconds = 0, 0.0
    while seconds < 60 * minutes:
        file = files[count % len(files)]
        shutil.copy(file, folder / f"{count:05d}.flac")
        seconds += soundfile.info(file).duration
        count += 1
    return count, seconds
