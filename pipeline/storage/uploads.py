"""Uploads in parts that nobody completed: killed processes leave them in a bucket, billed, in no listing of objects."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem

from pipeline.corpus import Seconds
from pipeline.storage.paths import filesystem, is_s3, uri_of
from pipeline.storage.retry import attempt, denied

PAGE = 1000
"""Uploads listed by one request, as many as S3 allows."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload that is not completed."""

    uri: str
    """Of the object that it was to be."""
    id: str
    age: Seconds
    """Since it began, by the clock of this machine."""


def unfinished(folder_uri: str) -> list[Upload]:
    """List the uploads below a folder that are not completed; none on storage that is no S3 store.

    Raises:
        UserError: access is denied.
        StorageFault: the listing broke off.
    """
    fs, path = filesystem(folder_uri)
    if not is_s3(fs):
        return []
    bucket, _, prefix = path.partition("/")
    now = datetime.now(UTC)
    try:
        return [
            Upload(uri_of(fs, f"{bucket}/{each['Key']}"), each["UploadId"], (now - each["Initiated"]).total_seconds())
            for page in _pages(fs, folder_uri, Bucket=bucket, Prefix=prefix.rstrip("/") + "/", MaxUploads=PAGE)
            for each in page.get("Uploads", [])
        ]
    except PermissionError as error:
        raise denied(folder_uri, "listing uploads", "s3:ListBucketMultipartUploads") from error


def abort(upload: Upload) -> None:
    """Throw away what was uploaded; the upload may have ended meanwhile.

    Raises:
        UserError: access is denied.
        StorageFault: it could not be thrown away for longer than the retries.
    """
    fs, path = filesystem(upload.uri)
    bucket, _, key = path.partition("/")
    call = functools.partial(fs.call_s3, "abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)
    try:
        with contextlib.suppress(FileNotFoundError):
            attempt(upload.uri, "aborting an upload", call)
    except PermissionError as error:
        raise denied(upload.uri, "aborting an upload", "s3:AbortMultipartUpload") from error


def _pages(fs: AbstractFileSystem, uri: str, **options: Any) -> Iterator[dict[str, Any]]:
    while True:
        page = attempt(uri, "listing uploads", functools.partial(fs.call_s3, "list_multipart_uploads", **options))
        yield page
        if not page.get("IsTruncated"):
            return
        options |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
