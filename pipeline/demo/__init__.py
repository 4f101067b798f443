"""The embedded demo: tar shards of spoken digits, and a checkpoint that transcribes them."""

from __future__ import annotations

from pathlib import Path


def corpus_folder() -> Path:
    """Folder of the tar shards, `digits-*.tar`: 38 recordings, one of them broken on purpose."""
    return Path(__file__).resolve().parent


def checkpoint_folder() -> Path:
    """Folder of the checkpoint `digits-ctc`, in Hugging Face format."""
    return Path(__file__).resolve().parent / "digits-ctc"
