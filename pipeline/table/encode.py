"""The bytes of a unit's file: Parquet with what is told about the attempt in its footer. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

FOOTER = "voxmill."
"""Every key of the footer that is ours begins with this."""
REWRITTEN = "rewritten"
"""Of the footer: when rows were last taken out of the file."""


def encode(table: pa.Table, footer: Mapping[str, str]) -> bytes:
    """Whole Parquet file of some rows, zstd, with checksums, and `footer`, rows and errors in its metadata. Pure.

    Without statistics: a unit is read whole, and those of a damaged footer, which has no checksum, hide rows.
    """
    errors = table.num_rows - table.column("error").null_count
    told = {**footer, "rows": str(table.num_rows), "errors": str(errors)}
    metadata = {
        **(table.schema.metadata or {}),
        **{f"{FOOTER}{key}".encode(): told[key].encode() for key in told},
    }
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        sink,
        compression="zstd",
        write_page_checksum=True,
        write_statistics=False,
    )
    return bytes(sink.getvalue().to_pybytes())
