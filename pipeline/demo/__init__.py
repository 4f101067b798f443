"""The embedded demo: tar shards of spoken digits, and small checkpoints for every task."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CHECKPOINTS: Final = {
    "transcribe": "digits-ctc",
    "classify": "keyword",
    "frames": "speech-frames",
    "embed": "speaker-xvector",
}
"""Kind of task -> its checkpoint; the first three have one encoder."""


def corpus_folder() -> Path:
    """Folder of the tar shards, `digits-*.tar`: 38 recordings, one of them broken on purpose."""
    return Path(__file__).resolve().parent


def checkpoint_folder(name: str = "digits-ctc") -> Path:
    """Folder of a checkpoint in Hugging Face format, one of `CHECKPOINTS`."""
    return Path(__file__).resolve().parent / name
