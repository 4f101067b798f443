"""Read the file of one unit whole, with the checksums of its pages."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UserError
from pipeline.storage import parquet
from pipeline.storage.paths import redact
from pipeline.storage.read import TooLarge, read_bytes
from pipeline.storage.retry import denied
from pipeline.table.schema import lacking, look_at_names

MOST = parquet.MOST
"""Bytes of a file: no more than its rows may stand for."""


def read_unit(uri: str) -> pa.Table:
    """Rows of one unit's file.

    Raises:
        UserError: it is no whole Parquet file, its rows lack what those of every task have, it is too large, went away
            or may not be read; with the remedy.
        StorageFault: it cannot be read.
    """
    try:
        data = read_bytes(uri, most=MOST)
    except FileNotFoundError as error:
        raise UserError(f"{redact(uri)}: the file went away while it was being read. Run the command again.") from error
    except PermissionError as error:
        raise denied(uri, "reading", "s3:GetObject") from error
    except TooLarge as error:
        raise UserError(
            f"{redact(uri)}: is too large for a unit's file ({error}). Delete it; the next run does that unit again."
        ) from error
    try:
        footer = pq.read_metadata(pa.BufferReader(data))
        # Runs count by it: to them a file whose footer contradicts itself is damaged.
        parquet.told(footer)
        table = parquet.read(pa.BufferReader(data), footer=footer)
        # Text that is no UTF-8 would be found by whoever looks at it first.
        table.validate(full=True)
        # So would names of columns.
        look_at_names(table.schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"{redact(uri)}: cannot be read as Parquet ({reason}). Delete it; the next run does that unit again."
        ) from error
    if told := lacking(table):
        raise UserError(f"{redact(uri)}: is no unit's file ({told}). Delete it; the next run does that unit again.")
    return table


def is_of_a_file(error: Exception) -> bool:
    """Say whether an error of a scan may be one file's: bytes without sense, a file that went away or is closed."""
    return isinstance(error, FileNotFoundError | PermissionError) or getattr(error, "errno", None) is None
