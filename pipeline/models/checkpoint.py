"""Checkpoint folders in Hugging Face's format: found, hashed, their configuration read and written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import documents
from pipeline.errors import UserError
from pipeline.overdue import bounded, moved
from pipeline.storage.secrets import redact

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

SUFFIXES = (".json", ".safetensors", ".txt")
"""Files of a checkpoint that are downloaded and sent to workers: data, never code."""

_SETTINGS = (
    "vocab.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "preprocessor_config.json",
    "processor_config.json",
)
"""What changes the output beside configuration and weights: the tokens, and how features are made."""
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LONGEST_NAME = 255
"""Bytes of a file's name, on every common file system."""
_HASH_BLOCK = 8 * 2**20


def resolve(path_or_hub_id: str | os.PathLike[str]) -> Path:
    """Find a checkpoint folder; where there is none of that name, download it from the hub.

    Only JSON, text and safetensors files are downloaded.

    Raises:
        UserError: where there is no such folder and the hub does not give it either.
    """
    given = os.fspath(path_or_hub_id)
    folder = Path(given).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"{given}: a checkpoint is a folder, and this is a file; give the folder that holds it.")
    if not _HUB_ID.fullmatch(given):
        raise UserError(f"{given}: no such folder; a checkpoint is a local folder or a hub id such as owner/name.")
    return _download(given)


def _download(hub_id: str) -> Path:
    # Imported here: only the process that resolves ids needs the hub's client, workers do not.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    try:
        # Its requests have timeouts, and of a slow download no step is told.
        with bounded():
            return Path(snapshot_download(hub_id, allow_patterns=[f"*{suffix}" for suffix in SUFFIXES]))
    except (OSError, EntryNotFoundError, HFValidationError) as error:
        reason = " ".join([line.strip() for line in str(error).splitlines() if line.strip()][:2])
        # Not with its cause: the hub sends on to signed URIs, which its client quotes.
        raise UserError(
            f"{hub_id}: no such folder here, and the hub did not give it as a model ({redact(reason)}); "
            "check the spelling, and for a private model set HF_TOKEN."
        ) from None


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Hash what changes a checkpoint's output: configuration, weights, tokens and feature settings.

    Returns 64 hex digits: sha256 over name, size and content of each such file, in order of names. Other
    files, a README say, and the folder's own name do not count.

    Raises:
        UserError: where there are no weights to hash.
    """
    folder = Path(path)
    files = {folder / name for name in (CONFIG, INDEX, *_SETTINGS)} | set(weight_files(folder, where=str(path)))
    digest = hashlib.sha256()
    for file in sorted(file for file in files if file.is_file()):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as stream:
            while block := stream.read(_HASH_BLOCK):
                digest.update(block)
                moved()
    return digest.hexdigest()


def read_config(folder: Path, *, where: str) -> dict[str, Any]:
    """Read `config.json` as it stands; `where` is what messages call the checkpoint."""
    if not (folder / CONFIG).is_file():
        raise UserError(f"{where}: no {CONFIG}; a checkpoint folder holds {CONFIG}, {WEIGHTS} and vocab.json.")
    return _read_object(folder / CONFIG, where=where)


def write_config(folder: Path, document: Mapping[str, Any]) -> None:
    """Write `config.json`."""
    (folder / CONFIG).write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def weight_files(folder: Path, *, where: str) -> tuple[Path, ...]:
    """Find the safetensors files: the one, or the shards that the index names.

    Raises:
        UserError: where there are none, only pickles, or a shard is missing.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / INDEX).is_file():
        return _shards(folder, where=where)
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if pickles:
        raise UserError(
            f"{where}: {pickles[0]} is pickled, and a pickle can run code, so Voxmill reads {WEIGHTS} only; "
            "convert a checkpoint that you trust with transformers: "
            f"AutoModelForCTC.from_pretrained({where!r}).save_pretrained({where!r})."
        )
    raise UserError(f"{where}: no {WEIGHTS} and no {INDEX}; a checkpoint folder holds one of them.")


def _shards(folder: Path, *, where: str) -> tuple[Path, ...]:
    weight_map = _read_object(folder / INDEX, where=where).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(f"{where}: {INDEX} must map tensors to files under weight_map; download it again.")
    names = sorted({str(name) for name in weight_map.values()})
    outside = [name for name in names if not _plain(name)]
    if outside:
        raise UserError(f"{where}: {INDEX} names {outside[0][:80]!r}; shards must lie in the checkpoint's own folder.")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise UserError(
            f"{where}: {INDEX} names {absent[0]}, which is not there "
            f"({len(absent)} of {len(names)} shards missing); download it again."
        )
    return tuple(folder / name for name in names)


def _plain(name: str) -> bool:
    """Whether it can be the name of a file in a folder."""
    return Path(name).name == name and name.isprintable() and len(os.fsencode(name)) <= _LONGEST_NAME


def _read_object(file: Path, *, where: str) -> dict[str, Any]:
    try:
        document = documents.load(file)
    except ValueError as error:
        raise UserError(f"{where}: {file.name} is not JSON ({error}); download it again.") from error
    if not isinstance(document, dict):
        raise UserError(f"{where}: {file.name} must hold one JSON object, got {type(document).__name__}.")
    return document
