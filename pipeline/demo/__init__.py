"""The embedded demo: tar shards of spoken digits, and a checkpoint that transcribes them."""

from __future__ import annotations

from pathlib import Path


def corpus_folder() -> Path:
    """Folder of the tar shards, `digits-*.tar`: 38 recordings, one of them broken on purpose."""
    return Path(__file__).resolve().parent


def checkpoint_folder(name: str = "digits-ctc") -> Path:
    """Folder of one of the checkpoints, in Hugging Face format."""
    return Path(__file__).resolve().parent / name


CHECKPOINTS = {
    "transcribe": "digits-ctc",
    "classify": "keyword",
    "frames": "speech-frames",
    "embed": "speaker-xvector",
}
"""Kind of task -> its checkpoint."""
