"""Checkpoints on every worker: resolved and hashed once on the driver, checked by its hash where it is used."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from pipeline.errors import StorageFault, UserError
from pipeline.models import checkpoint
from pipeline.overdue import moved
from pipeline.scratch import scratch

_BLOCK = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Shipped:
    """A checkpoint that any node can open without asking a hub or sharing a disk with the driver."""

    path: str
    fingerprint: str
    files: Any
    """Reference to {name: bytes} in the object store; None where driver and workers share one machine."""

    def local(self) -> Path:
        """Folder with exactly the driver's files on this node.

        Raises:
            StorageFault: neither the path nor the shipped copy has the driver's hash.
        """
        given = Path(self.path)
        if _holds(given, self.fingerprint):
            return given
        if self.files is None:
            raise StorageFault(f"{self.path}: is not on this node, or differs from the driver's copy")
        return _unpack(self.fingerprint, self.files)


def ship(path: Path, fingerprint: str, *, nodes: int) -> Shipped:
    """Put the checkpoint's files where the workers can get them, if there is more than this machine."""
    if nodes == 1:
        return Shipped(str(path), fingerprint, None)
    names = [file for file in sorted(path.iterdir()) if file.is_file() and file.suffix in checkpoint.SUFFIXES]
    return Shipped(str(path), fingerprint, ray.put({file.name: _content(file) for file in names}))


def _content(file: Path) -> bytearray:
    """What a file holds; a large one of a slow disk is seen to move."""
    content = bytearray(file.stat().st_size)
    place = 0
    with open(file, "rb", buffering=0) as stream, memoryview(content) as view:
        while read := stream.readinto(view[place : place + _BLOCK]):
            place += read
            moved()
    del content[place:]
    return content


def local_folders(shipped: Sequence[Shipped]) -> dict[str, Path]:
    """Hash of each checkpoint -> its folder on this node; see `Shipped.local`."""
    return {each.fingerprint: each.local() for each in shipped}


def _unpack(fingerprint: str, files: Any) -> Path:
    folder = Path(tempfile.gettempdir()) / f"voxmill-{os.geteuid()}-{fingerprint[:16]}"
    if _holds(folder, fingerprint):
        return folder
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Actors of one node unpack at the same time: each file appears whole or not at all.
        with scratch("voxmill-unpacking-") as parts:
            for name, content in ray.get(files).items():
                (parts / name).write_bytes(content)
                (parts / name).replace(folder / name)
    except OSError as error:
        raise StorageFault(f"{folder}: the checkpoint cannot be unpacked there ({error})") from error
    if not _holds(folder, fingerprint):
        raise StorageFault(f"{folder}: the checkpoint does not arrive there as it was sent; delete the folder")
    return folder


def _holds(folder: Path, fingerprint: str) -> bool:
    """Whether a folder has the checkpoint; it may be closed, or another process unpacking it at this moment."""
    try:
        return folder.is_dir() and checkpoint.fingerprint(folder) == fingerprint
    except (UserError, OSError):
        return False
