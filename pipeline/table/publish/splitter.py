"""Rows in, files out: split by a column's values, rolled at a size, uploaded as each is full."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import StorageFault, UserError
from pipeline.scratch import scratch
from pipeline.storage.hashed import file_digest
from pipeline.storage.paths import is_local, join
from pipeline.storage.put import put_file
from pipeline.table.publish import places
from pipeline.table.publish.manifest import PublishedFile

ROW_GROUP = 64 * 10**6
"""Bytes in memory of the rows that are written as one row group."""
BUFFERED = 256 * 10**6
"""Bytes in memory of the rows of all partitions together."""
MAX_PARTITIONS = 500
"""Values of the column that a set may be partitioned by: each has a file open while the set is written."""
_LONGEST_NAME = 255
"""Bytes of the name of a folder that the file systems of disks take; a store has no folders."""
_SHOWN = 32
"""Characters of a value that a message shows."""


@dataclass(frozen=True, slots=True)
class Written:
    """A new file, and the units whose rows it holds."""

    file: PublishedFile
    units: tuple[str, ...]


@dataclass(slots=True)
class _Part:
    """The file that is being filled with the rows of one partition."""

    value: str | None
    path: Path
    sink: pa.NativeFile
    writer: pq.ParquetWriter
    rows: int = 0
    errors: int = 0
    units: dict[str, None] = field(default_factory=dict)
    waiting: list[pa.Table] = field(default_factory=list)
    nbytes: int = 0


class Splitter:
    """Writes rows into new files of a published set.

    Args:
        folder: URI of the set.
        scratch: local folder for the files that are not full yet.
        schema: of the rows.
        column: that the set is partitioned by, or None.
        file_bytes: at which a file is full.
        values: of the column that other files of the set have; they count towards the most that there may be.
    """

    def __init__(
        self,
        folder: str,
        scratch: Path,
        schema: pa.Schema,
        *,
        column: str | None,
        file_bytes: int,
        values: Iterable[str | None] = (),
    ) -> None:
        self._folder = folder
        self._scratch = scratch
        self._schema = schema
        self._column = column
        self._file_bytes = file_bytes
        self._row_group = min(ROW_GROUP, file_bytes)
        self._values = set(values)
        self._parts: dict[str | None, _Part] = {}
        self.written: list[Written] = []

    def add(self, rows: pa.Table) -> None:
        """Take in rows of this schema; a file ends only between two calls.

        Raises:
            UserError: the column has too many values, or one that names no folder of a disk.
            StorageFault: the scratch disk is full, or a full file cannot be put.
        """
        for value, part in self._split(rows):
            self._take(value, part)
        while sum(part.nbytes for part in self._parts.values()) > BUFFERED:
            self._flush(max(self._parts.values(), key=lambda part: part.nbytes))

    def finish(self) -> list[Written]:
        """Put what is left, and say which files there are now."""
        for part in list(self._parts.values()):
            self._close(part)
        return self.written

    def discard(self) -> None:
        """Remove the files that were put: no manifest names them."""
        for each in self.written:
            places.remove(join(self._folder, each.file.path))

    def _split(self, rows: pa.Table) -> Iterable[tuple[str | None, pa.Table]]:
        if self._column is None:
            return [(None, rows)] if rows.num_rows else []
        texts = rows.column(self._column).cast(pa.string())
        return [
            (value, rows.filter(pc.is_null(texts) if value is None else pc.equal(texts, value)))
            for value in texts.unique().to_pylist()
        ]

    def _take(self, value: str | None, rows: pa.Table) -> None:
        part = self._parts.get(value) or self._open(value)
        part.waiting.append(rows)
        part.nbytes += rows.nbytes
        part.rows += rows.num_rows
        part.errors += rows.num_rows - rows.column("error").null_count
        part.units |= dict.fromkeys(rows.column("unit").unique().to_pylist())
        if part.nbytes >= self._row_group:
            self._flush(part)
            if part.sink.tell() >= self._file_bytes:
                self._close(part)

    def _open(self, value: str | None) -> _Part:
        self._values.add(value)
        if self._column is not None and len(self._values) > MAX_PARTITIONS:
            raise UserError(
                f"--partition-by {self._column}: has more than {MAX_PARTITIONS} values, and each is a folder with "
                "files of its own. Choose a column with fewer, or none"
            )
        self._check_name(value)
        path = self._scratch / f"{uuid.uuid4().hex}.parquet"
        with _on_disk(path):
            sink = pa.OSFile(str(path), "wb")
            writer = pq.ParquetWriter(sink, self._schema, compression="zstd", write_page_checksum=True)
        self._parts[value] = _Part(value, path, sink, writer)
        return self._parts[value]

    def _check_name(self, value: str | None) -> None:
        if self._column is None or value is None or not is_local(self._folder):
            return
        length = len(places.partition_folder(self._column, value))
        if length > _LONGEST_NAME:
            raise UserError(
                f"--partition-by {self._column}: the value that begins with {value[:_SHOWN]!r} makes a folder name of "
                f"{length:,} bytes, and a disk takes {_LONGEST_NAME}. Choose another column, or none"
            )

    def _flush(self, part: _Part) -> None:
        with _on_disk(part.path):
            rows = pa.concat_tables(part.waiting).combine_chunks()
            part.writer.write_table(rows, row_group_size=max(1, rows.num_rows))
        part.waiting, part.nbytes = [], 0

    def _close(self, part: _Part) -> None:
        if part.waiting:
            self._flush(part)
        with _on_disk(part.path):
            part.writer.close()
            part.sink.close()
        name = part.path.name
        path = name if self._column is None else f"{places.partition_folder(self._column, part.value)}/{name}"
        with _on_disk(part.path):
            size, digest = part.path.stat().st_size, file_digest(part.path)
        file = PublishedFile(path, size, part.rows, part.errors, part.value, digest)
        # Before it is put, so that it is removed too where its putting fails half-way.
        self.written.append(Written(file, tuple(part.units)))
        put_file(str(part.path), join(self._folder, path))
        part.path.unlink()
        del self._parts[part.value]


@contextlib.contextmanager
def splitting(
    folder: str, schema: pa.Schema, *, column: str | None, file_bytes: int, values: Iterable[str | None] = ()
) -> Iterator[Splitter]:
    """A splitter with scratch space, whose files go again where the block fails; the arguments are its own."""
    with scratch("voxmill-publish-") as local:
        split = Splitter(folder, local, schema, column=column, file_bytes=file_bytes, values=values)
        try:
            yield split
        except BaseException:
            with contextlib.suppress(StorageFault, UserError):
                split.discard()
            raise


@contextlib.contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """Around writing to the scratch disk: what the disk answers is a fault of storage."""
    try:
        yield
    except OSError as error:
        told = error.strerror or error
        raise StorageFault(f"{path.parent}: {told} while writing; TMPDIR names another disk") from error
