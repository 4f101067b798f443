"""URIs: which file system they name, how names are joined, and what may be shown of them."""

from __future__ import annotations

import functools
import inspect
import os
import re
from datetime import datetime
from typing import Any

import fsspec
from fsspec import AbstractFileSystem
from fsspec.config import apply_config

from pipeline.errors import StorageFault, UserError
from pipeline.storage.secrets import redact, with_causes

__all__ = [
    "canonical", "creates", "filesystem", "is_local", "is_s3", "join", "local_path", "parent", "redact", "uri_of",
]  # fmt: skip

LOCAL = ("file", "local")
S3 = ("s3", "s3a")
CREATING = (*S3, "gs", "gcs")
"""Protocols whose clients put what must be absent under a condition that the store holds (s3fs, gcsfs)."""
CONNECTIONS = 64
"""Simultaneous requests to one object store; botocore's own default of 10 would queue the rest."""
CONNECT_TIMEOUT, READ_TIMEOUT = 10, 60
"""Seconds in which a store must answer before it is asked again."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")


def filesystem(uri: str) -> tuple[AbstractFileSystem, str]:
    """Open the file system that `uri` names and give the path inside it.

    Local paths may be relative or start with `~`; they come back absolute and without a trailing slash. The
    rest of a URI is taken literally: `%20` is three characters, `#` and `?` are part of the name.

    Raises:
        UserError: an unknown scheme, a missing package, a file system that needs more than its scheme and the
            environment, a `file://` URI that is not absolute.
        StorageFault: a client connects at once, and nobody answers.
    """
    match = _SCHEME.match(uri)
    scheme = match.group(1).lower() if match else "file"
    if scheme in LOCAL:
        return _open("file", os.getpid(), ()), _local_path(uri[match.end() :] if match else uri, uri)
    try:
        fs = _open("s3" if scheme in S3 else scheme, os.getpid(), _surroundings())
        path = str(fs._strip_protocol(uri))
    except Exception as error:  # noqa: BLE001
        from pipeline.storage.retry import is_broken

        if is_broken(error):
            raise with_causes(StorageFault(_unopened(uri, scheme, error)), error) from None
        # What a client raises that lacks a host, a library or a file is not known: any kind of error was seen.
        raise with_causes(UserError(_unopened(uri, scheme, error)), error) from None
    if is_s3(fs) and not path.partition("/")[0]:
        raise UserError(f"{redact(uri)}: a bucket must be named: s3://bucket/folder")
    return fs, path


def is_local(uri: str) -> bool:
    """Say whether `uri` names a local path, which is read and written without fsspec."""
    match = _SCHEME.match(uri)
    return match is None or match.group(1).lower() in LOCAL


def local_path(uri: str) -> str:
    """Give the absolute local path of a URI for which `is_local` holds."""
    return filesystem(uri)[1]


def is_s3(fs: AbstractFileSystem) -> bool:
    """Say whether `fs` speaks S3, whose listings and conditions this package uses directly."""
    return "s3" in _protocols(fs)


def creates(fs: AbstractFileSystem) -> bool:
    """Say whether of two clients that create one name one wins; what fsspec has for all looks first and writes then."""
    return not set(CREATING).isdisjoint(_protocols(fs))


def uri_of(fs: AbstractFileSystem, path: str) -> str:
    """Give the full URI of a path inside `fs`, never percent-encoded: `file:///a b#c.wav`, `s3://bucket/key`."""
    return path if _SCHEME.match(path) else f"{_protocols(fs)[0]}://{path}"


def canonical(uri: str) -> str:
    """Give the one spelling of a URI: absolute, with its scheme, without a trailing slash."""
    fs, path = filesystem(uri)
    return uri_of(fs, path)


def join(base: str, *parts: str) -> str:
    """Append names to a folder's URI.

    Raises:
        UserError: a part is empty, absolute, a URI, or climbs with `..`.
    """
    for part in parts:
        if not part or part.startswith("/") or _SCHEME.match(part) or ".." in part.split("/"):
            raise UserError(f"{redact(base)}: a name below it must be relative and without '..', not {part!r}")
    return "/".join([base.rstrip("/"), *parts])


def parent(uri: str) -> str:
    """Give the folder that holds `uri`; a bucket or the root is its own parent."""
    full = canonical(uri)
    scheme, path = full.split("://", 1)
    head, slash, _ = path.rpartition("/")
    if not slash:
        return full
    return f"{scheme}://{head or '/'}"


def _local_path(path: str, uri: str) -> str:
    if "\0" in path:
        raise UserError(f"a path cannot hold a NUL character, as {uri!r} does")
    if _SCHEME.match(uri) and not path.startswith("/"):
        raise UserError(f"{redact(uri)}: a file URI is absolute: file:///folder/name")
    found = os.path.abspath(os.path.expanduser(path) if path == uri else path)
    # POSIX lets a system give two slashes at the start, and no other number, a meaning of its own; none here does.
    return found[1:] if found.startswith("//") else found


def _protocols(fs: AbstractFileSystem) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _surroundings() -> tuple[tuple[str, str], ...]:
    """Give the variables a client is made from, so that changed credentials make a new client."""
    return tuple(item for item in os.environ.items() if item[0].startswith(("AWS_", "FSSPEC_")))


@functools.lru_cache(maxsize=16)
def _open(scheme: str, _pid: int, _environment: tuple[tuple[str, str], ...]) -> AbstractFileSystem:
    """Make one file system for all threads of a process; fsspec's own cache makes one a thread."""
    options: dict[str, Any] = {"skip_instance_cache": True}
    if scheme != "file":
        options["use_listings_cache"] = False
    if scheme == "s3":
        options["session"] = _session()
        options["config_kwargs"] = {
            "max_pool_connections": CONNECTIONS,
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"total_max_attempts": 1},
        }
    _check_arguments(scheme, options)
    fs = fsspec.filesystem(scheme, **options)
    if scheme == "s3":
        # Tries are counted in `retry` alone: three layers of five tries each would wait for half an hour.
        fs.retries = 1
    return fs


def _check_arguments(scheme: str, options: dict[str, Any]) -> None:
    """Raise a TypeError where a client needs more: fsspec's for FTP, once half made, ends in a traceback on screen."""
    client = fsspec.get_filesystem_class(scheme)
    inspect.signature(client.__init__).bind(client, **apply_config(client, options))


def _unopened(uri: str, scheme: str, error: Exception) -> str:
    reason = " ".join(redact(str(error)).split()) or type(error).__name__
    return (
        f"{redact(uri)}: {scheme}:// cannot be opened: {reason}. Install the client that it needs, and put what that "
        f"needs beside a path into the environment (as FSSPEC_{scheme.upper()}_HOST), or name another place"
    )


def _session() -> Any:
    """Session of S3 clients whose listings are read four times as fast: nearly all of the rest is dates."""
    from aiobotocore.session import AioSession

    session = AioSession()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_timestamp)
    return session


def _timestamp(text: Any) -> datetime:
    """Time in an answer, as botocore reads it, but without trying every format there is."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        from botocore.utils import parse_timestamp

        found: datetime = parse_timestamp(text)
        return found
