"""Writing: put-if-absent for local disks and stores, overwrite, delete, and the probe before any work."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fsspec import AbstractFileSystem

from pipeline.errors import StorageFault, UserError
from pipeline.storage.paths import creates, filesystem, is_local, is_s3, join, local_path, redact
from pipeline.storage.retry import answer_of, attempt, denied, hasty, unreachable

_SINGLE_PUT = 5 * 2**30
"""Above this s3fs would write in parts, whose completion ignores the condition on some stores."""
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a folder for output can do."""

    uri: str
    conditional: bool
    """True where the second of two conditional puts of one name is refused by the storage, and not by a client that
    looked before: so it must be for one winner."""


def put_if_absent(uri: str, data: bytes) -> bool:
    """Write an object whole, unless its name is taken.

    Returns:
        True when this call made it; False when the name was taken, maybe by an earlier try of this very call.

    Raises:
        UserError: access is denied, the bucket is missing, the disk has no hard links or is read-only.
        StorageFault: it could not be written for longer than the retries, or a local folder above the one that
            holds it is not there: only `probe_write` makes more than that one.
    """
    if is_local(uri):
        path = local_path(uri)
        return _written(uri, lambda: _link(path, data))
    fs, path = filesystem(uri)
    return _written(uri, lambda: _create(fs, path, data))


def put(uri: str, data: bytes) -> None:
    """Write an object whole, in place of what has its name; a reader sees the old bytes or the new ones.

    Raises:
        UserError, StorageFault: as `put_if_absent`.
    """
    if is_local(uri):
        path = local_path(uri)
        _written(uri, lambda: _replace(path, data))
        return
    fs, path = filesystem(uri)
    options = {"chunksize": _SINGLE_PUT} if is_s3(fs) else {}
    _written(uri, lambda: fs.pipe_file(path, data, **options))


def put_file(path: str, uri: str) -> None:
    """Write a local file to an object as `put` does, in little memory; large ones go to a store in parts.

    Raises:
        UserError, StorageFault: as `put_if_absent`.
    """
    if is_local(uri):
        target = local_path(uri)
        _written(uri, lambda: _copy(path, target))
        return
    fs, target = filesystem(uri)
    _written(uri, lambda: fs.put_file(path, target))


def delete(uri: str) -> None:
    """Remove an object; it may be gone already.

    Raises:
        UserError, StorageFault: as `put_if_absent`.
    """
    fs, path = filesystem(uri)
    _written(uri, lambda: _remove(fs, path))


def remove_empty(folder_uri: str) -> None:
    """Remove a folder of a local disk where nothing is in it; on a store there are no folders."""
    if is_local(folder_uri):
        with contextlib.suppress(OSError):
            os.rmdir(local_path(folder_uri))


def probe_write(folder_uri: str) -> ProbeResult:
    """Check before any work that a folder takes conditional puts; makes a local one with all folders above it.

    Raises:
        UserError: it cannot be written, for a reason and with the remedy in one line.
        StorageFault: a local disk is full or fails, a connection fails, or a store answers that it is busy.
    """
    name = join(folder_uri, f"_probe-{uuid.uuid4().hex}")
    with _probing(name), hasty():
        if is_local(folder_uri):
            _written(folder_uri, lambda: _make_all(local_path(folder_uri)))
        put_if_absent(name, b"probe")
        refused = not put_if_absent(name, b"probe again")
        delete(name)
    return ProbeResult(folder_uri, refused and (is_local(folder_uri) or creates(filesystem(folder_uri)[0])))


def probe_folder(folder_uri: str) -> None:
    """Check before any work that a folder below one that was probed takes files; a local one may be yet to be made.

    Raises:
        UserError, StorageFault: as `probe_write`.
    """
    if is_local(folder_uri) and not os.path.lexists(local_path(folder_uri)):
        return
    name = join(folder_uri, f"_probe-{uuid.uuid4().hex}")
    with _probing(name), hasty():
        put(name, b"probe")
        delete(name)


@contextlib.contextmanager
def _probing(name: str) -> Iterator[None]:
    """Say what was found out with a file of that name as something about its folder."""
    try:
        yield
    except StorageFault as fault:
        raise unreachable(fault) from fault
    except UserError as error:
        raise UserError(str(error).replace(f"/{name.rpartition('/')[2]}", "")) from error


def _written(uri: str, write: Callable[[], bool | None]) -> bool:
    try:
        return bool(attempt(uri, "writing", write))
    except PermissionError as error:
        raise denied(uri, "writing", "s3:PutObject and s3:DeleteObject") from error
    except FileNotFoundError as error:
        if is_local(uri):
            raise StorageFault(
                f"{_first_missing(local_path(uri))}: this folder went away while it was being written to. "
                "Move it back; what it holds stays done"
            ) from error
        raise UserError(f"{redact(uri)}: there is no bucket to write to (404)") from error
    except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        raise UserError(
            f"{redact(uri)}: a file is where a folder should be, or the reverse ({error.strerror}). "
            "Move it away, or choose another output folder."
        ) from error


def _create(fs: AbstractFileSystem, path: str, data: bytes) -> bool:
    options = {"chunksize": _SINGLE_PUT} if is_s3(fs) else {}
    try:
        fs.pipe_file(path, data, mode="create", **options)
    except FileExistsError:
        return False
    except OSError as error:
        code, status = answer_of(error)
        if code == "PreconditionFailed" or status == 412:
            return False
        if status != 501:
            raise
        # A store that does not know the condition says so instead of ignoring it; `probe_write` tells of both.
        fs.pipe_file(path, data, **options)
    return True


def _remove(fs: AbstractFileSystem, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        fs.rm_file(path)


def _link(path: str, data: bytes) -> bool:
    with _temporary(path, data) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        except OSError as error:
            _explain(path, error)
            raise
        _sync_folder(path)
    return True


def _replace(path: str, data: bytes) -> None:
    with _temporary(path, data) as draft:
        os.replace(draft, path)
        _sync_folder(path)


def _copy(source: str, path: str) -> None:
    with open(source, "rb") as file, _temporary(path, file) as draft:
        os.replace(draft, path)
        _sync_folder(path)


@contextlib.contextmanager
def _temporary(path: str, data: bytes | BinaryIO) -> Iterator[str]:
    """Write a hidden file beside `path`, down to the disk; remove it afterwards if it is still there."""
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        with _new(draft, folder) as file:
            if isinstance(data, bytes):
                file.write(data)
            else:
                data.seek(0)
                shutil.copyfileobj(data, file, 2**20)
            file.flush()
            os.fsync(file.fileno())
        yield draft
    except OSError as error:
        _explain(path, error)
        raise
    finally:
        # A disk that has turned read-only, or fails, refuses this too: what went wrong before is what is told.
        with contextlib.suppress(OSError):
            os.unlink(draft)


def _new(draft: str, folder: str) -> BinaryIO:
    for left in (1, 0):
        # Not with the folders above: an output that was moved away must not come back with a part of its units.
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        try:
            return open(draft, "xb")
        except FileNotFoundError:
            # Somebody may just have found it empty, see `remove_empty`.
            if not left:
                raise
    raise AssertionError


def _make_all(path: str) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        _explain(path, error)
        raise


def _first_missing(path: str) -> str:
    """The highest of the folders above a path that are not there; the one that holds it where all are."""
    folder = os.path.dirname(path)
    while not os.path.exists(os.path.dirname(folder)):
        folder = os.path.dirname(folder)
    return folder


def _explain(path: str, error: OSError) -> None:
    """Raise what only the user can mend; return for everything else."""
    if error.errno == errno.EROFS:
        raise UserError(f"{path}: the disk is read-only. Choose another output folder.") from error
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise StorageFault(f"{path}: no space left on the disk; make room and run the same command again") from error
    if error.errno in _NO_LINKS and error.filename2:
        remedy = "Choose an output on a disk that has them (ext4, xfs, NFS) or on an object store"
        raise UserError(f"{path}: the file system has no hard links, which a commit needs. {remedy}.") from error


def _sync_folder(path: str) -> None:
    handle = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
